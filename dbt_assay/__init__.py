"""Where dbt looks for plugins: in modules whose names begin with dbt_."""

from assay.project.dbt_plugin import Plugin

plugins = [Plugin]
