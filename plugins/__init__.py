"""Built-in plugins. Each enters core by the same door as a third party's: `core.api`."""
