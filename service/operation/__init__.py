"""What whoever runs it needs: health, figures, alarms, logs, and the processes of a cluster."""
