{#- A table that is built whole under its own name, in one transaction. dbt's `table` builds it under another name and renames
    it, asks for keys and indexes, and looks the columns up to comment on them: a third more statements than needed. -#}
{% materialization replaced, adapter='duckdb', supported_languages=['sql', 'python'] %}

    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set is_sql = model.language == 'sql' -%}
    {%- if is_sql and target | string in sql -%}
        {%- do assay._refuse('materialized as replaced, it cannot read the table that it replaces: materialize it as table') -%}
    {%- endif -%}
    {%- if 'foreign_key' in enforced_constraint_types() -%}
        {%- do assay._refuse('DuckDB keeps tables of a foreign key from being replaced: materialize it as table') -%}
    {%- endif -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if existing and not (is_sql and existing.is_table) -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- endif -%}
    {%- set computed = assay._computed_elsewhere(compiled_code) if is_sql -%}
    {%- set promises = assay._take_promises(target) -%}
    {%- set rows = assay._rows_for(target, computed or compiled_code, promises) if is_sql else compiled_code -%}
    {%- set is_standing = is_sql and existing and existing.is_table and assay._stands_as_declared(target, rows) -%}
    {%- call statement('main', language=model.language) -%}
        {%- if is_standing %}
            {{- assay._rows_replaced(target, rows) }}
        {%- else %}
            {{- 'drop table if exists ' ~ target ~ ';' if is_sql }}
            {{- create_table_as(False, target, rows, model.language) }}
        {%- endif %}
    {%- endcall -%}
    {%- do assay._keep_promises(target, promises) -%}
    {%- do create_indexes(target) -%}
    {%- do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, full_refresh_mode=True)) -%}
    {%- if not is_standing -%}
        {%- do assay._comment_on(target) -%}
    {%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}

    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Writes the descriptions of a table and its columns into the warehouse. The columns are those of the contract. Of a table that
    `stands` since before the transaction, a lake takes those alone that are new. -#}
{% macro _comment_on(relation, stands=false) -%}
    {%- if not config.get('contract').enforced -%}
        {{ return(persist_docs(relation, model)) }}
    {%- endif -%}
    {%- set standing = assay._in_catalog(relation) if stands -%}
    {%- set comments -%}
        {%- for column, description in assay._declared_comments().items() if not standing or standing.comments.get(column) != description %}
            comment on {{ 'column ' ~ relation ~ '.' ~ assay.quoted(column) if column else 'table ' ~ relation }} is {{ assay._text(description) }};
        {%- endfor -%}
    {%- endset -%}
    {%- if comments | trim -%}
        {%- do run_query(comments) -%}
    {%- endif -%}
{%- endmacro %}


{#- The SQL that gives the rows of a model which another engine has computed; none where this machine does. The engine has a
    connection of its own, on which it sees what is committed: all that the model reads. Of a history that is kept up,
    `increment` says from what its new rows are made. -#}
{% macro _computed_elsewhere(sql, increment=none) -%}
    {%- if not assay._has_engine() -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set parents = {} -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list
            if node.unique_id in model.depends_on.nodes and node.relation_name -%}
        {%- do parents.update({node.relation_name: node.name}) -%}
    {%- endfor -%}
    {#- The engine's sessions are others than this one. -#}
    {%- set settings = {} -%}
    {%- for name, value in run_query("
        select name, value from duckdb_settings()
        where name in (
            'default_collation', 'default_null_order', 'default_order', 'disabled_optimizers', 'ieee_floating_point_ops',
            'integer_division'
        )
    ").rows -%}
        {%- do settings.update({name: value}) -%}
    {%- endfor -%}
    {%- set asked = tojson({
        'name': model.name, 'sql': sql, 'raw_code': model.raw_code, 'materialized': model.config.materialized,
        'meta': model.config.meta, 'parents': parents, 'database': this.database, 'settings': settings,
        'increment': increment,
    }) -%}
    {%- set computed = fromjson(run_query('select assay_computed(' ~ assay._text(asked) ~ ')').rows[0][0]) -%}
    {%- if computed.fault -%}
        {%- do assay._refuse(computed.fault) -%}
    {%- endif -%}
    {{ return(computed.sql) }}
{%- endmacro %}


{#- Whether another engine takes rows. dbt itself has none. -#}
{% macro _has_engine() -%}
    {%- if not env_var('ASSAY_ENGINE', '') | trim -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set found = run_query("select count(*) from duckdb_functions() where function_name = 'assay_computed'").rows[0][0] > 0 -%}
    {%- if not found -%}
        {%- do exceptions.warn(model.name ~ ': ASSAY_ENGINE has no effect on dbt itself; run assay build. This machine computes the model.') -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}
