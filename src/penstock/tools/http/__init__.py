"""Tools behind HTTP: a call is one request, its JSON answer the result."""
