"""The asv suite: one module a public function."""
