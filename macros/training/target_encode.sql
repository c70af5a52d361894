{% macro target_encode(column, parameters, row_id, where="split = 'train'") -%}
    {%- set folds = assay._fitted(
        parameters, 'target_encode', column, 'max(value)::bigint',
        "parameter = 'folds' and key = " ~ assay._split_into_folds(row_id, where)
    ) -%}
    {%- set encodings = 'list(value order by fold nulls first)' -%}
    case
        when {{ assay.quoted(column) }} is not null
            then coalesce(
                (
                    select _encodings
                    from (
                        select
                            key as _category,
                            {{ encodings }} as _encodings
                        from {{ parameters }}
                        where method = 'target_encode' and feature = {{ assay._text(column) }} and parameter = 'encoding'
                        group by key
                    )
                    where _category = {{ assay._as_text(assay.quoted(column)) }}
                ),
                {{ assay._fitted(parameters, 'target_encode', column, encodings, "parameter = 'prior'") }}
            )[1 + case when {{ where }} then {{ assay._fold(row_id, folds) }} else 0 end]
    end
{%- endmacro %}


{#- Encodings for all rows, where `fold` is NULL, and for the rows of each fold, whose own targets are left out. -#}
{% macro _fit_target_encode(column, options, where) -%}
    {%- set smoothing, folds = options.smoothing, options.folds -%}
    {%- if smoothing is not number or smoothing <= 0 -%}
        {%- do assay._refuse('the smoothing ' ~ smoothing ~ ' of target_encode must be a number above 0') -%}
    {%- endif -%}
    {%- if folds is not integer or folds < 2 -%}
        {%- do assay._refuse('the folds ' ~ folds ~ ' of target_encode must be a whole number from 2') -%}
    {%- endif -%}
    {{ assay._targets_without_fold(column, options) }}

    select
        'folds' as parameter,
        {{ assay._split_into_folds(options.row_id, where) }} as key,
        null as fold,
        {{ folds }} as value

    union all

    select
        'prior' as parameter,
        null as key,
        fold,
        prior as value
    from priors

    union all

    select
        'encoding' as parameter,
        category as key,
        fold,
        (target_sum + {{ smoothing }} * prior) / (row_count + {{ smoothing }}) as value
    from totals
{%- endmacro %}


{#- The mean target without each fold, and of each category rows and targets without it. -#}
{% macro _targets_without_fold(column, options) -%}
    {%- set target = assay._sql(options.target) -%}
    with parts as (

        select
            {{ assay._as_text(assay.quoted(column)) }} as category,
            {{ assay._fold(options.row_id, options.folds) }} as part,
            count(*) as row_count,
            list_aggregate(list(({{ target }})::double order by ({{ target }})::double), 'fsum') as target_sum
        from training
        where ({{ target }}) is not null
        group by all

    ),

    left_out as (

        select unnest([null] || range(1, {{ options.folds + 1 }})) as fold

    ),

    -- The prior leaves the fold out as well: in a small one, a target could be read from it.
    priors as (

        select
            left_out.fold,
            list_aggregate(list(parts.target_sum order by parts.target_sum), 'fsum') / sum(parts.row_count) as prior
        from left_out
        left join parts on left_out.fold is distinct from parts.part
        group by left_out.fold

    ),

    totals as (

        select
            parts.category,
            priors.fold,
            priors.prior,
            coalesce(sum(parts.row_count) filter (where parts.part is distinct from priors.fold), 0) as row_count,
            coalesce(
                list_aggregate(
                    list(parts.target_sum order by parts.target_sum) filter (where parts.part is distinct from priors.fold),
                    'fsum'
                ),
                0
            ) as target_sum
        from parts
        cross join priors
        where parts.category is not null
        group by all

    )
{%- endmacro %}


{% macro _fold(row_id, folds) -%}
    (1 + {{ assay._number_of_row(row_id, 'fold') }} % {{ folds }})::integer
{%- endmacro %}


{#- How the training rows were split, kept beside the parameters: split otherwise, rows would see their own targets. -#}
{% macro _split_into_folds(row_id, where) -%}
    {{ assay._text(row_id ~ ' where ' ~ where) }}
{%- endmacro %}
