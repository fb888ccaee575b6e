"""The kernel lab: boots real Debian kernels in QEMU and runs the tests of guest/ inside them."""
