"""The sub-commands of brushcast-export, one format a module."""
