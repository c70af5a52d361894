{% macro comparable_number(text) -%}
    {#- Digits alone tell numbers apart at any length: where the first stands, then which they are. Of a negative number
        the order is the other way about, and the end comes after every digit. -#}
    case when isfinite(try_cast({{ text }} as double)) then list_transform(
        [regexp_extract(
            replace({{ text }}, '_', ''), '^\s*(-?)\+?0*(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?\s*$', ['sign', 'whole', 'fraction', 'exponent']
        )],
        lambda _part: list_transform(
            [ltrim(_part.whole || _part.fraction, '0')],
            lambda _digits: case when _digits = '' then {'sign': 0, 'magnitude': 0::hugeint, 'digits': ''} else {
                'sign': if(_part.sign = '-', -1, 1),
                'magnitude': if(_part.sign = '-', -1, 1)
                    * (length(_digits) - length(_part.fraction) + coalesce(try_cast(_part.exponent as hugeint), 0)),
                'digits': if(
                    _part.sign = '-', translate(rtrim(_digits, '0'), '0123456789', '9876543210') || '~', rtrim(_digits, '0')
                )
            } end
        )[1]
    )[1] end
{%- endmacro %}


{#- Whether a number is no multiple of another, a constant: divided as on paper, digit by digit. -#}
{% macro _is_no_multiple(text, of) -%}
    list_transform(
        [{'number': {{ assay.comparable_number("ltrim(" ~ text ~ ", ' +-')") }}, 'of': {{ assay.comparable_number(of) }}}],
        lambda _: list_transform(
            [(_.number.magnitude - length(_.number.digits)) - (_.of.magnitude - length(_.of.digits))],
            {#- Its digits end with no zero; and after 126 zeros, more make no multiple of what has 37 digits. -#}
            lambda _zeros: _.number.sign <> 0 and (_zeros < 0 or list_reduce(
                try_cast(string_split(_.number.digits || repeat('0', greatest(0, least(_zeros, 126))::bigint), '') as hugeint[]),
                lambda _rest, _digit: (_rest * 10 + _digit) % _.of.digits::hugeint,
                0::hugeint
            ) <> 0)
        )[1]
    )[1]
{%- endmacro %}
