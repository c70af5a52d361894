{% macro temporal_split(at, boundaries, embargo) -%}
    {%- set at = assay.as_utc(at) -%}
    {%- set boundaries = assay._ascending(boundaries) -%}
    {%- set embargo = assay._embargo_length(embargo) -%}
    {%- set held = var('held_splits', none) or {} -%}
    {%- if held and held.get(model.name) -%}
        {{ return(assay._split_as_it_was(at, held[model.name])) }}
    {%- endif -%}
    {%- set parts = ['train', 'test'] if boundaries | length == 1 else ['train', 'validation', 'test'] -%}
case
    {%- for boundary in boundaries | reverse %}
    when {{ at }} >= {{ boundary }} then '{{ parts[loop.revindex] }}'
    {%- if embargo %}
    when {{ at }} >= {{ boundary }} - {{ embargo }} then 'embargo'
    {%- endif %}
    {%- endfor %}
    when {{ at }} < {{ boundaries[0] }} then 'train'
end
{%- endmacro %}


{#- The boundaries as SQL: what looks like a time is a literal, all else an expression. -#}
{% macro _ascending(boundaries) -%}
    {%- set day = '[0-9]{4}-[0-9]{2}-[0-9]{2}' -%}
    {%- set time = ' [0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?' -%}
    {%- set literals, found = [], [] -%}
    {%- if boundaries is string or boundaries | length not in (1, 2) -%}
        {%- do assay._refuse('temporal_split needs a list of one boundary (train, test) or two (train, validation, test)') -%}
    {%- endif -%}
    {%- for boundary in boundaries -%}
        {%- set text = (boundary | string).replace('T', ' ') -%}
        {%- if modules.re.fullmatch(day ~ '(' ~ time ~ ')?', text) -%}
            {%- do literals.append(text ~ '0000-00-00 00:00:00.000000'[text | length:]) -%}
            {%- do found.append("timestamp '" ~ literals[-1] ~ "'") -%}
        {%- else -%}
            {%- do found.append(assay.as_utc(boundary)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if literals | unique | sort | list != literals -%}
        {%- do assay._refuse('the boundaries ' ~ boundaries | join(', ') ~ ' of temporal_split must ascend') -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{% macro _embargo_length(embargo) -%}
    {%- if embargo == 'all' -%}
        {%- do assay._refuse('the embargo all would leave nothing to train on: write a length such as 45d') -%}
    {%- elif embargo is none or (embargo | lower).startswith('interval ') -%}
        {{ return(embargo) }}
    {%- endif -%}
    {{ return(assay._window_lengths([embargo])[embargo]) }}
{%- endmacro %}


{#- The search for leaks erases what came late: boundaries that are shares of time would move, and rows change their split. -#}
{% macro _split_as_it_was(at, starts) -%}
case
    {%- for start in starts[1:] | reverse %}
    when {{ at }} >= timestamp '{{ start.at }}' then '{{ start.split }}'
    {%- endfor %}
    when {{ at }} is not null then '{{ starts[0].split }}'
end
{%- endmacro %}
