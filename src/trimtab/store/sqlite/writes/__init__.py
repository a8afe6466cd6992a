"""What a group of writes does to the tables, on the writer's thread and within its one transaction."""
