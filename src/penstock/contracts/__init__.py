"""What things are: the documents that people write and the records that machines exchange, as frozen models."""
