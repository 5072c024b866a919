"""What is shown: tables, panels, the dashboard, progress and questions."""
