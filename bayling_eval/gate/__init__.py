"""Rules over a comparison that decide whether a checkpoint may ship or a CI job passes."""
