"""What people read before they sign."""
