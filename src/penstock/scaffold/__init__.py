"""What init and new lay down."""
