"""Bridges to other libraries, each in a module of its own that only a user imports: ``neuromem.interop.torch`` needs PyTorch."""
