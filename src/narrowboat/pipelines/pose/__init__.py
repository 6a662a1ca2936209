"""Videos to poses."""
