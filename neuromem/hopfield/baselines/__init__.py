"""The classic associative memories behind the library's verbs."""
