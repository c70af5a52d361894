{% macro quality_measures(models, references={}, period='month') -%}
    {%- for name in models -%}
        {%- do ref(name) -%}
    {%- endfor -%}
    {%- for dimension in references.values() -%}
        {%- do ref(dimension) -%}
    {%- endfor -%}
    {%- if execute -%}
        {%- if period not in ['day', 'week', 'month'] -%}
            {%- do assay._refuse('the period ' ~ period ~ ' is unknown: allowed are day, week and month') -%}
        {%- endif -%}
        {%- for name in models %}
        {{ assay._table_measures(assay._measured_table(name, references), period) }}
        {{ 'union all' if not loop.last }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#- One pass over a table: for each period its rows, and what is counted of them. -#}
{% macro _table_measures(table, period) -%}
select
    '{{ table.name }}' as table_name,
    date_trunc('{{ period }}', {{ assay.as_utc(assay.quoted(table.time, 't')) }})::date as period,
    count(*) as row_count,
    [
        {%- for measure in table.measures %}
        row(
            {{- assay._text(measure.column) if measure.column else 'null' }}, '{{ measure.rule_id }}', {{ measure.bad or 'null' }},
            {{- ' ' ~ (assay._spread(measure.spread) if measure.spread else 'null') -}}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ]::struct(column_name varchar, rule_id varchar, bad_count bigint, spread map(integer, ubigint))[] as measures,
    {% if table.rule_ids -%}
    list_aggregate(flatten(list(t.rule_ids) filter (where t.rule_ids is not null)), 'histogram')
    {%- else -%}
    null
    {%- endif %}::map(varchar, ubigint) as broken_rules
from {{ table.relation }} as t
{%- for reference in table.references %}
left join {{ reference.relation }} as d{{ loop.index }}
    on
        {{ assay.quoted(reference.column, 't') }} = {{ assay.quoted(reference.column, 'd' ~ loop.index) }}
        and {{ assay.as_utc('t.available_at') }} >= {{ assay.as_utc('d' ~ loop.index ~ '.valid_from') }}
        and {{ assay.as_utc('t.available_at') }} < {{ assay.as_utc('d' ~ loop.index ~ '.valid_to') }}
{%- endfor %}
where {{ table.where }}
-- Not by the name: the table may have such a column.
group by 2
{%- endmacro %}


{#- What a model's YAML says of it, as far as it matters here. -#}
{% macro _measured_table(name, references) -%}
    {%- set node = assay._node_named(name) -%}
    {%- set because = assay._not_measured_because(node) -%}
    {%- if because -%}
        {%- do assay._refuse(because) -%}
    {%- endif -%}
    {%- set types = assay._types_of(node) -%}
    {%- set time = assay._time_of(node, types) -%}
    {%- set ignored = assay._not_measured() + [time] + (node.config.meta.quality or {}).get('ignore', []) -%}
    {%- set table = {
        'name': name, 'relation': ref(name), 'time': time, 'rule_ids': 'rule_ids' in types, 'references': [], 'measures': [],
        'where': 'true',
    } -%}
    {%- if table.rule_ids -%}
        {%- do table.update({'where': assay.known_as_of('t.available_at')}) -%}
        {{ return(table) }}
    {%- endif -%}
    {%- if 'valid_from' in types and 'updated_at' in types -%}
        {#- States that something opened; what expires, expires of itself. -#}
        {%- do table.update({'where': 't.updated_at >= t.valid_from'}) -%}
    {%- endif -%}
    {%- set proven = assay._proven(node) -%}
    {%- set has_spreads = not assay._is_of_features(node) and ('available_at' in types or 'valid_from' in types) -%}
    {%- for column, type in types.items() if column not in ignored -%}
        {%- set quoted = assay.quoted(column, 't') -%}
        {%- set present = 'case when not isnan(' ~ quoted ~ ') then 1 end' if type in ['float', 'double'] else quoted -%}
        {%- if column == 'claimed_at' -%}
            {%- set known_at = 'coalesce(t.claimed_available_at, t.available_at)' if 'claimed_available_at' in types else 't.available_at' -%}
            {%- do table.measures.append({'column': column, 'rule_id': 'clock_ahead', 'bad': 'count(*) filter (where ' ~ assay.as_utc(quoted) ~ ' >= ' ~ assay.as_utc(known_at) ~ ')'}) -%}
        {%- elif column == 'claimed_available_at' -%}
            {%- do table.measures.append({'column': column, 'rule_id': 'clock_ahead', 'bad': 'count(*) filter (where ' ~ assay.as_utc(quoted) ~ ' > ' ~ assay.as_utc('t.available_at') ~ ')'}) -%}
        {%- elif column not in proven.filled or type in ['float', 'double'] -%}
            {%- do table.measures.append({'column': column, 'rule_id': 'more_nulls', 'bad': 'count(*) - count(' ~ present ~ ')'}) -%}
        {%- endif -%}
        {%- if has_spreads and type.split('(')[0] in assay._numbers() and not column.endswith('_id') -%}
            {%- do table.measures.append({'column': column, 'rule_id': 'values', 'spread': quoted ~ '::double'}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if 'available_at' in types and time != 'available_at' and types[time] == types.available_at -%}
        {%- set lateness = 'epoch_us(t.available_at) - epoch_us(' ~ assay.quoted(time, 't') ~ ')' -%}
        {%- do table.measures.append({'rule_id': 'late_rows', 'spread': '((' ~ lateness ~ ') / 1e6)::double'}) -%}
    {%- endif -%}
    {%- for keys in proven.unproven_keys -%}
        {%- set duplicates = 'count(*) - count(distinct row(' ~ assay.quoted(keys, 't') ~ '))' -%}
        {%- do table.measures.append({'rule_id': 'duplicate_rows', 'bad': duplicates}) -%}
    {%- endfor -%}
    {%- for column, dimension in references.items() if column in types and column not in ignored and 'available_at' in types -%}
        {%- set owner = assay._node_named(dimension) -%}
        {%- if node.unique_id not in assay._upstream_of(owner) -%}
            {%- do table.references.append({'column': column, 'relation': ref(dimension)}) -%}
            {%- set unknown = assay.quoted(column, 't') ~ ' is not null and d' ~ (table.references | length) ~ '.valid_from is null' -%}
            {#- A source that one does not have is an empty table, which says so itself. -#}
            {%- set bad = 'case when exists (select 1 from ' ~ ref(dimension) ~ ') then count(*) filter (where ' ~ unknown ~ ') end' -%}
            {%- do table.measures.append({'column': column, 'rule_id': 'unknown_key', 'bad': bad}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(table) }}
{%- endmacro %}


{% macro _not_measured() -%}
    {#- Of the warehouse itself; or bounds and confirmations of states. -#}
    {{ return([
        'file_id', 'source_file', 'file_version', 'row_number', 'landed_at', 'loaded_at', 'run_id',
        'available_at', 'valid_from', 'valid_to', 'updated_at', 'confirmed_at', 'is_current',
    ]) }}
{%- endmacro %}


{% macro _numbers() -%}
    {{ return([
        'tinyint', 'smallint', 'integer', 'int', 'bigint', 'hugeint', 'utinyint', 'usmallint', 'uinteger', 'ubigint',
        'decimal', 'numeric', 'float', 'real', 'double',
    ]) }}
{%- endmacro %}


{#- Features are numbers of a window: mon_feature_drift judges them. -#}
{% macro _is_of_features(node) -%}
    {{ return(true if node.config.meta.feature_view or 'prediction_at' in node.columns else false) }}
{%- endmacro %}


{#- Columns that the engine keeps from NULL, and keys that are declared without the engine seeing to them. -#}
{% macro _proven(node) -%}
    {%- set filled, unproven = [], [] -%}
    {%- set enforced = node.config.contract.enforced -%}
    {%- set constraints = node.constraints | list -%}
    {%- for column in node.columns.values() -%}
        {%- for constraint in column.constraints -%}
            {%- do constraints.append({'type': constraint.type, 'columns': [column.name]}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for constraint in constraints -%}
        {#- dbt makes SQL of these names as they are, so some stand in quotes. -#}
        {%- set columns = constraint.columns | map('trim', '"') | list -%}
        {%- if enforced and constraint.type in ['not_null', 'primary_key'] -%}
            {%- do filled.extend(columns) -%}
        {%- elif not enforced and constraint.type in ['primary_key', 'unique'] -%}
            {%- do unproven.append(columns) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return({'filled': filled, 'unproven_keys': unproven}) }}
{%- endmacro %}


{#- Counts of numbers by magnitude: bounds grow by 4 %, so that a value is known to 2 % (DDSketch). -#}
{% macro _spread(x) -%}
    {%- set bucket = 'ceil((ln(abs(' ~ x ~ ')) - ln(1e-9)) / ln(1.04))' -%}
    histogram(case when abs({{ x }}) < 1e-9 then 0 when not isnan({{ x }}) then sign({{ x }}) * greatest(1, least({{ bucket }}, 100000)) end::integer)
{%- endmacro %}


{#- The value in the middle of a bucket of `_spread`. -#}
{% macro _magnitude(bucket) -%}
    sign({{ bucket }}) * 1e-9 * pow(1.04, abs({{ bucket }})) * 2 / 2.04
{%- endmacro %}


{#- Those of some models, named by their ids, that a model is made of. -#}
{% macro _names_upstream(node, names) -%}
    {%- set found = [] -%}
    {%- for unique_id in assay._upstream_of(node) if unique_id in names -%}
        {%- do found.append(names[unique_id]) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
