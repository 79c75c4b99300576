"""Settings, profile and storage URI: how one release is served."""
