{#- A view that is replaced under its own name, where dbt's `view` makes another one and renames both. -#}
{% materialization replaced_view, adapter='duckdb', supported_languages=['sql'] %}

    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if existing and not existing.is_view -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- set query = assay._view_of_lake(target, sql) -%}
    {%- set is_standing = existing and existing.is_view and assay._is_view_of(target, query) -%}
    {%- call statement('main') -%}
        {%- if is_standing %}
            select 0
        {%- else %}
            drop view if exists {{ target }};
            {{ get_create_view_as_sql(target, query) }}
        {%- endif %}
    {%- endcall -%}
    {%- do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=True)) -%}
    {%- do persist_docs(target, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}

    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
