"""What newer kernels have changed under this tool: read in their sources and types, nothing is booted."""
