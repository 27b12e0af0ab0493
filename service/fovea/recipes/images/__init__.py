"""Pictures to classes: the residual networks and the vision transformer, on Fashion-MNIST."""
