"""What takes long to decode, pictures above all, is decoded beside the threads that take requests in."""
