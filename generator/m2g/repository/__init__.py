"""The GitOps repository on disk: its layout, its files, and what people wrote."""
