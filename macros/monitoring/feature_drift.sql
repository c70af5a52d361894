{% macro feature_drift(views, training_sets=[], months=3, rows=1000, bins=10, epsilon=0.0001) -%}
    {%- for name in views + training_sets -%}
        {%- do ref(name) -%}
    {%- endfor -%}
    {%- if execute -%}
        {%- set found = assay._compared_views(views, training_sets) -%}
with {{ assay._drift_samples(found, training_sets, rows) }},

{{ assay._drift_comparisons(found, training_sets, months) }},

{{ assay.drift_figures(bins, epsilon) }},

{{ assay.drift_verdicts(training_sets) }}

select * from final
    {%- endif -%}
{%- endmacro %}


{#- The states that are looked at. Months are numbered from 1970, what a training set trains on is a period below 0. -#}
{% macro _drift_samples(views, training_sets, rows) -%}
{{ assay._drift_clock(views, training_sets) }},
{% for view in views %}
{{ assay._states_of_view(view, rows) }},
{% endfor %}
periods as (
    {% for view in views %}
    select
        {{ view.number }} as view_number,
        periods.period,
        periods.arrivals,
        states.looked_at,
        states.entities
    from {{ 'v' ~ view.number }}_periods as periods
    inner join (
        select
            period,
            count(*) as looked_at,
            count(distinct entity) as entities
        from {{ 'v' ~ view.number }}_states
        group by period
    ) as states on periods.period = states.period
    {{- '\n\n    union all\n' if not loop.last }}
    {%- endfor %}

),

numbers as materialized (
    {{ assay._drift_values(views, is_category=false) }}
),

categories as materialized (
    {{ assay._drift_values(views, is_category=true) }}
)
{%- endmacro %}


{% macro _drift_clock(views, training_sets) -%}
-- The warehouse's own clock, so that building again gives the same.
clock as (

    select {{ assay._month_of('max(updated_at)') }} as this_month
    from (
        {%- for view in views %}
        select {{ assay.as_utc('max(updated_at)') }} as updated_at from {{ view.relation }}
        {{- ' union all' if not loop.last }}
        {%- endfor %}
    ) as newest

),

trained as (

    {%- for name in training_sets %}
    select
        {{ loop.index }} as reference_number,
        {{ assay.as_utc('min(prediction_at)') }} as starts_at,
        {{ assay.as_utc('max(prediction_at)') }} as ends_at
    from {{ ref(name) }}
    where {{ assay._is_trained_on(assay._node_named(name)) }}
    {{- '\n    union all' if not loop.last }}
    {%- else %}
    select
        null::integer as reference_number,
        null::timestamp as starts_at,
        null::timestamp as ends_at
    where false
    {%- endfor %}

)
{%- endmacro %}


{#- Those of a view that are looked at, with their periods. -#}
{% macro _states_of_view(view, rows) -%}
{%- set v, opened_at = 'v' ~ view.number, assay.as_utc('valid_from') %}
-- As of each arrival: what expires, expires of itself.
{{ v }}_arrived as (

    select
        {{ opened_at }} as _opened_at,
        {{ assay._month_of(opened_at) }} as month_number,
        hash({{ assay.quoted(view.entity_keys) }}) as entity,
        -- Its place in an order of chance, from 0 to 1.
        hash({{ assay.quoted(view.entity_keys) }}, {{ opened_at }}) / 18446744073709551615 as place
        {%- for feature in view.features %},
        {{ assay.quoted(feature.name) }}::{{ 'varchar' if feature.is_category else 'double' }} as x{{ feature.number }}
        {%- endfor %}
    from {{ view.relation }}
    where updated_at = valid_from

),

{{ v }}_periods as (

    select
        period,
        count(*) as arrivals,
        {{ rows }} / count(*) as share
    from (
        select month_number as period from {{ v }}_arrived
        union all
        select -trained.reference_number as period
        from {{ v }}_arrived
        inner join trained on _opened_at between trained.starts_at and trained.ends_at
    ) as placed
    group by period

),

{{ v }}_states as materialized (

    select
        periods.period,
        arrived.* exclude (_opened_at, month_number, place)
    from {{ v }}_arrived as arrived
    inner join {{ v }}_periods as periods on arrived.month_number = periods.period and arrived.place <= periods.share
    union all
    select
        periods.period,
        arrived.* exclude (_opened_at, month_number, place)
    from {{ v }}_arrived as arrived
    inner join trained on arrived._opened_at between trained.starts_at and trained.ends_at
    inner join {{ v }}_periods as periods on periods.period = -trained.reference_number and arrived.place <= periods.share

)
{%- endmacro %}


{#- How often each value of the features stands in each period. -#}
{% macro _drift_values(views, is_category) -%}
    {%- for feature in assay._features_of(views, is_category) %}
    select
        {{ feature.number }} as feature_number,
        period,
        x{{ feature.number }} as x,
        count(*) as occurrences
    from v{{ feature.view_number }}_states
    where x{{ feature.number }} is not null
    {%- if not is_category %} and not isnan(x{{ feature.number }}){% endif %}
    group by period, x
    {{- '\n\n    union all\n' if not loop.last }}
    {%- else %}
    select
        null::integer as feature_number,
        null::bigint as period,
        null::{{ 'varchar' if is_category else 'double' }} as x,
        null::bigint as occurrences
    where false
    {%- endfor %}
{%- endmacro %}


{#- What is compared with what: each month with those before it, and with what a training set trains on. -#}
{% macro _drift_comparisons(views, training_sets, months) -%}
features as (

    select unnest([
        {%- for feature in assay._features_of(views) %}
        {feature_number: {{ feature.number }}, view_number: {{ feature.view_number }}, view: '{{ feature.view }}', feature: {{ assay._text(feature.name) }}, is_category: {{ feature.is_category | lower }}, trained_on: {{ feature.trained_on }}::integer[]}
        {{- ',' if not loop.last }}
        {%- endfor %}
    ]::struct(feature_number integer, view_number integer, view varchar, feature varchar, is_category boolean, trained_on integer[])[], max_depth := 2)

),

months as (

    select
        view_number,
        min(period) as first_month,
        unnest(generate_series(min(period), least(max(period), any_value(clock.this_month) - 1))) as month_number
    from periods
    cross join clock
    where period >= 0
    group by view_number

),

{{ assay._comparisons_of_months(months) }},

sides as (

    select
        comparison,
        feature_number,
        view_number,
        month_number as period,
        false as is_reference
    from comparisons
    union all
    select
        comparison,
        feature_number,
        view_number,
        unnest(generate_series(from_month, to_month)) as period,
        true as is_reference
    from comparisons
    where reference_number = 0
    union all
    select
        comparison,
        feature_number,
        view_number,
        -reference_number as period,
        true as is_reference
    from comparisons
    where reference_number > 0

)
{%- endmacro %}


{#- With reference_number 0 for the months before, else that of the training set. -#}
{% macro _comparisons_of_months(months) -%}
comparisons as (

    select
        *,
        row_number() over (order by feature_number, reference_number, month_number)::integer as comparison
    from (
        select
            features.* exclude (trained_on),
            0 as reference_number,
            months.month_number,
            months.month_number - {{ months }} as from_month,
            months.month_number - 1 as to_month,
            months.month_number - {{ months }} < months.first_month as is_early,
            false as is_trained_on
        from features
        inner join months on features.view_number = months.view_number
        union all
        select
            features.* exclude (trained_on),
            trained.reference_number,
            months.month_number,
            {{ assay._month_of('trained.starts_at') }} as from_month,
            {{ assay._month_of('trained.ends_at') }} as to_month,
            false as is_early,
            months.month_number <= {{ assay._month_of('trained.ends_at') }} as is_trained_on
        from features
        inner join months on features.view_number = months.view_number
        inner join trained
            on
                list_contains(features.trained_on, trained.reference_number)
                and months.month_number >= {{ assay._month_of('trained.starts_at') }}
    ) as listed

)
{%- endmacro %}


{% macro _month_of(at) -%}
    datediff('month', date '1970-01-01', {{ at }})
{%- endmacro %}


{% macro _first_of(month_number) -%}
    (timestamp '1970-01-01' + to_months(({{ month_number }})::integer))
{%- endmacro %}


{#- The views and their features, numbered: text is slow to sort. mon_quality says which have no type, and are left out. -#}
{% macro _compared_views(views, training_sets) -%}
    {%- set numbers = ['tinyint', 'smallint', 'integer', 'bigint', 'hugeint', 'utinyint', 'usmallint', 'uinteger', 'ubigint', 'float', 'double', 'decimal', 'numeric', 'real', 'int'] -%}
    {%- set found, known = [], [] -%}
    {%- for name in views -%}
        {%- set view = assay.feature_view(name) -%}
        {%- set view_number, features = loop.index, [] -%}
        {%- for column in view.described if column.name in view.columns and not column.name.endswith('_id') -%}
            {%- set type = (column.type or '').lower().split('(')[0] | trim -%}
            {%- if type in numbers or type in ['varchar', 'boolean', 'text', 'enum'] -%}
                {%- set trained_on = [] -%}
                {%- for training_set in training_sets -%}
                    {%- if column.name in assay._trained_columns(training_set, view) -%}
                        {%- do trained_on.append(loop.index) -%}
                    {%- endif -%}
                {%- endfor -%}
                {%- do known.append(column.name) -%}
                {%- do features.append({
                    'number': known | length, 'name': column.name, 'view': name, 'view_number': view_number,
                    'is_category': type not in numbers, 'trained_on': trained_on,
                }) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do found.append({
            'number': loop.index, 'relation': ref(name), 'entity_keys': view.entity_keys, 'features': features,
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro _features_of(views, is_category=none) -%}
    {%- set found = [] -%}
    {%- for view in views -%}
        {%- for feature in view.features if is_category is none or feature.is_category == is_category -%}
            {%- do found.append(feature) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#- The columns of a view that a training set joins; of derived features alone, those that they are made of. -#}
{% macro _trained_columns(training_set, view) -%}
    {%- set names = [] -%}
    {%- for each in assay.joined_features_of(assay._node_named(training_set)) if each.view == view.name -%}
        {%- do names.extend(each.columns or assay._request_of_view(each).needed) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
