"""Models by file or by name: the zoo, trained models of installed packages."""
