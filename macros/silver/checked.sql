{#- A table that rows are added to: those of files that it has not checked, each once. Like `incremental` of dbt-duckdb that
    appends, but another engine may compute the rows. -#}
{% materialization checked, adapter='duckdb', supported_languages=['sql'] %}

    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set rebuilt = make_intermediate_relation(target) -%}
    {%- set backup = make_backup_relation(target, existing.type if existing else 'table') -%}
    {{ drop_relation_if_exists(load_cached_relation(rebuilt)) }}
    {{ drop_relation_if_exists(load_cached_relation(backup)) }}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set is_added_to = assay._is_added_to() -%}
    {%- set rows = assay._computed_elsewhere(sql) or sql -%}
    {%- if is_added_to -%}
        {%- set added = make_temp_relation(target) -%}
        {%- do run_query(create_table_as(True, added, rows)) -%}
        {%- do process_schema_changes('fail', added, existing) -%}
        {%- call statement('main') -%}
            insert into {{ target }} by name select * from {{ added }}
        {%- endcall -%}
        {%- do run_query('drop table ' ~ added) -%}
    {%- else -%}
        {%- call statement('main') -%}
            {{ get_create_table_as_sql(False, rebuilt, rows) }}
        {%- endcall -%}
        {%- if existing -%}
            {%- do adapter.rename_relation(existing, backup) -%}
        {%- endif -%}
        {%- do adapter.rename_relation(rebuilt, target) -%}
    {%- endif -%}
    {%- do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=not is_added_to)) -%}
    {%- do persist_docs(target, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}

    {#- Before copies are told apart: the row of another stays then. -#}
    {%- do assay._set_forgotten_aside(target) -%}
    {{ drop_relation_if_exists(backup) }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Whether rows are added to a table that is there: what `is_incremental` tells of the materialization of that name. -#}
{% macro _is_added_to() -%}
    {%- if not execute or model.config.materialized != 'checked' -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set existing = adapter.get_relation(this.database, this.schema, this.identifier) -%}
    {{ return(existing is not none and existing.is_table and not should_full_refresh()) }}
{%- endmacro %}


{#- Rejects the rows that name somebody whom `assay forget` has removed. Gold never has them; the build then forgets the person again. -#}
{% macro _set_forgotten_aside(relation) -%}
    {%- if run_query("select getvariable('forgotten_inner') is null").rows[0][0] -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set names = run_query('select column_name from (describe ' ~ relation ~ ')').columns[0].values() | list -%}
    {%- set asked = assay._text(relation) ~ ', ' ~ assay._text(tojson(names)) -%}
    {%- set sql = run_query('select assay_set_aside(' ~ asked ~ ')').rows[0][0] -%}
    {%- if sql -%}
        {%- do run_query(sql) -%}
    {%- endif -%}
{%- endmacro %}
