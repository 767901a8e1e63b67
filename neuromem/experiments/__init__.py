"""Published experiments and the demonstration, one module per name; see ``registry``."""
