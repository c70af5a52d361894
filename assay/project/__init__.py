"""Read the dbt project: its graph, views, products, owners and YAML."""
