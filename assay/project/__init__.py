"""The dbt project as it is read: its graph, views, products, owners and YAML."""
