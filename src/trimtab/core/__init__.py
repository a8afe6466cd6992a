"""The values that everything speaks in. Imports the standard library and msgspec; does no I/O and reads no clock."""
