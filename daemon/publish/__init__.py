"""What people see: figures, report."""
