"""Every fault a network has shown us, injected on the way a user goes; nothing may be lost."""
