"""How two releases differ in what they did on the same input: artifacts, events, cost, promises."""
