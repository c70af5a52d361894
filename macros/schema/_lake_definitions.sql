{#- Tables and views of a lake that are declared as before keep their definition: after each change of one, DuckLake reads its whole
    catalog anew. -#}

{#- Whether a table of a lake is as its model declares it, so that its rows alone are to be replaced. -#}
{% macro _stands_as_declared(target, rows) -%}
    {%- set standing = assay._in_catalog(target) -%}
    {%- if not assay._may_keep_definition(standing) or standing.comments != assay._declared_comments() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {%- do run_query('create or replace temp table assay_declared ' ~ get_table_columns_and_constraints()) -%}
    {%- else -%}
        {%- do run_query('create or replace temp table assay_declared as select * from (\n' ~ rows ~ '\n) as declared limit 0') -%}
    {%- endif -%}
    {%- set columns = '(select list((column_name, column_type, "null")) from (describe ' -%}
    {%- set is_same = run_query('select ' ~ columns ~ target ~ ')) = ' ~ columns ~ 'temp.assay_declared))').rows[0][0] -%}
    {{ return(is_same) }}
{%- endmacro %}


{#- Whether new rows take the place of a table's, rather than a new table that of the old one. DuckLake reads its whole catalog twice
    after each change of a definition, which costs more than some 100,000 rows do that are deleted one by one. Its statistics count
    deleted rows as well, so a table is made anew when they are far off. -#}
{% macro _may_keep_definition(standing) -%}
    {{ return(standing is not none and standing.held <= 100000 and standing.counted <= 4 * standing.held + 1000) }}
{%- endmacro %}


{#- Puts rows in the place of those of a table, whose definition stays. -#}
{% macro _rows_replaced(target, rows) -%}
    {%- set is_declared = config.get('contract').enforced -%}
    {%- if is_declared -%}
        {{ get_assert_columns_equivalent(rows) }}
    {%- endif -%}
    {{ config.get('sql_header') or '' }}
    delete from {{ target }};
    insert into {{ target }} {{ get_column_names() if is_declared }} (
        {{ get_select_subquery(rows) if is_declared else rows }}
    );
{%- endmacro %}


{#- Whether a view of a lake has the same query already: it need not be made anew, since DuckLake looks up columns whenever a view is
    read. DuckDB writes queries in a form of its own, which is that of a temporary view as well. -#}
{% macro _is_view_of(target, sql) -%}
    {%- if not adapter.is_ducklake(target) or config.get('contract').enforced or config.persist_relation_docs() or config.persist_column_docs() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- do run_query((config.get('sql_header') or '') ~ ' create or replace temp view assay_declared as (\n' ~ sql ~ '\n)') -%}
    {{ return(run_query("
        with views as (select database_name, schema_name, view_name, sql from duckdb_views() where not internal),

        declared as (
            select substr(sql, 1 + length('CREATE TEMP VIEW assay_declared')) as query
            from views
            where (database_name, view_name) = ('temp', 'assay_declared')
        )

        select count(*)
        from views
        inner join declared on sql in ('CREATE VIEW ' || view_name || query, 'CREATE VIEW \"' || view_name || '\"' || query)
        where (database_name, schema_name, view_name)
            = (" ~ assay._text(target.database) ~ ", " ~ assay._text(target.schema) ~ ", " ~ assay._text(target.identifier) ~ ")
    ").rows[0][0] > 0) }}
{%- endmacro %}


{#- The schema with the catalog of the lake that holds a relation, as SQL; only Assay's plugin of dbt-duckdb says where it is. -#}
{% macro _catalog_of(target) -%}
    {{ return(run_query("select getvariable('assay_lake_catalog')").rows[0][0] if adapter.is_ducklake(target)) }}
{%- endmacro %}


{#- What the catalog of a lake knows of a table: its comments, that of the table itself under '', how many rows its files have, and how
    many its statistics count. DuckDB's own list of tables reads the statistics of all tables. -#}
{% macro _in_catalog(target) -%}
    {%- set catalog = assay._catalog_of(target) -%}
    {%- if not catalog -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = {'comments': {}, 'held': 0, 'counted': 0} -%}
    {%- set asked -%}
        with tables as (
            select table_id
            from {{ catalog }}.ducklake_table as tables
            inner join {{ catalog }}.ducklake_schema as schemas using (schema_id)
            where table_name = {{ assay._text(target.identifier) }} and schema_name = {{ assay._text(target.schema) }}
                and tables.end_snapshot is null and schemas.end_snapshot is null
        )

        select 'held', '', coalesce(sum(record_count), 0)::varchar
        from {{ catalog }}.ducklake_data_file
        where table_id in (from tables) and end_snapshot is null

        union all

        select 'counted', '', coalesce(sum(record_count), 0)::varchar
        from {{ catalog }}.ducklake_table_stats
        where table_id in (from tables)

        union all

        select 'comments', '', value
        from {{ catalog }}.ducklake_tag
        where object_id in (from tables) and end_snapshot is null and key = 'comment' and value <> ''

        union all

        select 'comments', column_name, value
        from {{ catalog }}.ducklake_column_tag as tags
        inner join {{ catalog }}.ducklake_column as columns using (table_id, column_id)
        where table_id in (from tables) and tags.end_snapshot is null and columns.end_snapshot is null
            and key = 'comment' and value <> ''
    {%- endset -%}
    {%- for kind, name, value in run_query(asked).rows -%}
        {%- if kind == 'comments' -%}
            {%- do found.comments.update({name: value}) -%}
        {%- else -%}
            {%- do found.update({kind: value | int}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The comments that a model declares for its table: its own under '', and those of its columns. -#}
{% macro _declared_comments() -%}
    {%- set comments = {} -%}
    {%- if config.persist_relation_docs() and model.description -%}
        {%- do comments.update({'': model.description}) -%}
    {%- endif -%}
    {%- if config.persist_column_docs() -%}
        {%- for column in model.columns.values() if column.description -%}
            {%- do comments.update({column.name: column.description}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(comments) }}
{%- endmacro %}
