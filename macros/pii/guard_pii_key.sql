{% macro guard_pii_key() -%}
    {%- if execute and graph.nodes.get('model.assay.brz_files') and flags.WHICH in ('build', 'run') -%}
        {%- set declared = {} -%}
        {%- for source in graph.sources.values() if source.config.meta.get('pii') and var('hash_pii', true) -%}
            {%- do declared.update({source.source_name ~ '.' ~ source.name: source.config.meta.pii}) -%}
        {%- endfor -%}
        {%- set key = run_query("select getvariable('pii_fingerprint')").columns[0].values()[0] -%}
        {%- if declared and not key -%}
            {{ exceptions.raise_compiler_error(
                'The contracts of ' ~ declared | sort | join(', ') ~ ' declare personal data (pii), and there is no key to hash it'
                ~ ' with. Set ASSAY_PII_KEY (32 characters or more) for builds and servers alike, and in profiles.yml the plugin'
                ~ ' assay.pii.dbt_plugin; or leave the data as it is: hash_pii: false under vars in dbt_project.yml.'
            ) }}
        {%- endif -%}
        {%- do assay._hold_pii_key(local_md5(key ~ tojson(declared, sort_keys=true)) if declared else 'none') -%}
    {%- endif -%}
{%- endmacro %}


{#- Hashes of two keys, or hashes and plain values, must not meet in one table. Who changes the key, or what is personal,
    builds all of silver again; `next` stays in the table until that has succeeded. -#}
{% macro _hold_pii_key(wanted) -%}
    {%- do run_query('create schema if not exists landing') -%}
    {%- do run_query('create table if not exists landing.pii_key (held varchar, next varchar, fingerprint varchar)') -%}
    {%- set rows = run_query('select held, next from landing.pii_key').rows -%}
    {%- set is_built = run_query(
        "select count(*) from duckdb_tables() where database_name = current_database() and ends_with(table_name, '__checked')"
    ).columns[0].values()[0] -%}
    {%- set held = rows[0][0] if rows else ('none' if is_built else wanted) -%}
    {%- set is_settled = held == wanted and not (rows and rows[0][1]) -%}
    {%- set is_whole = flags.FULL_REFRESH and not invocation_args_dict.get('select') and not invocation_args_dict.get('exclude') -%}
    {%- if not is_settled and not is_whole -%}
        {{ exceptions.raise_compiler_error(
            'What contracts declare personal (pii), hash_pii or ASSAY_PII_KEY is not what it was when silver was built, and one table'
            ~ ' cannot hold both: build all of silver again (--full-refresh, without --select), or give back what was.'
        ) }}
    {%- endif -%}
    {%- set next = 'null::varchar' if is_settled else "'" ~ wanted ~ "'" -%}
    {#- While silver is built again, and where nothing is declared, no key is that of all hashes. -#}
    {%- set key = "getvariable('pii_fingerprint')::varchar" if is_settled and held != 'none' else 'null::varchar' -%}
    {%- set row = "select '" ~ held ~ "' as held, " ~ next ~ ' as next, ' ~ key ~ ' as fingerprint' -%}
    {#- Builds of different tables of a lake would write this table at once. -#}
    {%- if rows | length != 1 or run_query('(' ~ row ~ ') except (select held, next, fingerprint from landing.pii_key)').rows -%}
        {%- do run_query('create or replace table landing.pii_key as ' ~ row) -%}
    {%- endif -%}
{%- endmacro %}
