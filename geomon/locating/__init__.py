"""From picks to located, sized events: pure functions on arrays."""
