"""One inference, whatever front brought it: what a request is and must satisfy, what becomes of it, its answer."""
