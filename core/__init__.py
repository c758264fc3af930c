"""The minimal core of jishi. It knows no plugin; plugins enter through `core.api`."""
