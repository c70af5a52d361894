"""Given names that many people have: a column whose texts hold them holds names of people."""

from __future__ import annotations

_NAMES = """
abdul adam adrian agnieszka ahmed aisha alejandro alessandro alessia alex alexander alexandra alexei
ali alice amanda amelie amina amy ana anastasia andrea andreas andrei andrew andrzej angela anita
anja anna anne annette antoine antonio arjun arthur ashley astrid barbara beatrice ben benjamin
bernd bernhard birgit bjorn björn brian brigitte camille carla carlos carmen caroline catherine
charles chiara chloe chris christian christina christine christoph christopher claire clara claudia
clemens cristina daniel daniela david deborah dennis diego dieter dimitri dirk dmitri dominik donald
donna dorothea eduardo edward elena elisabeth elizabeth ella ellen emil emilia emily emma enrique
erik erika ernst eva evelyn fatima felix fernando florian francesca francesco francisco frank franz
françois frederik friedrich gabriel gabriela gabriele georg george gerd gerda gerhard giovanni
giulia giuseppe greta guillaume gustav hannah hans harald heike heinz helen helena helga helmut
henrik henry herbert hiroshi hugo ian ibrahim ines ingrid irina isabel isabella ivan jacob jakob
jakub james jan jana jane janet jean jeff jeffrey jennifer jens jessica joan joao joaquin johan
johanna johannes john jonas jonathan jorge jose josef joseph josé joão juan julia julian julie jörg
jürgen kai karen karin karl karla katarzyna katharina katherine kathrin katja kevin klara klaus
konrad krzysztof kumar lars laura lauren lea lena leon leonie li lina linda lisa louis louise luca
lucas lucia luis luisa lukas lutz magdalena manfred manuel marc marco marcus margaret maria marie
mario marion markus marta martha martin martina mary mateo mathias matteo matthew matthias max
maximilian mehmet melanie mia michael michaela michal michel michelle miguel mikhail mohamed
mohammed monika moritz muhammad mustafa nadia nadine nancy natalia natalie nathalie nicholas nicolas
nicole niklas nikolai nils nina noah nora olaf oleg olga oliver olivia omar oscar otto pablo pamela
paolo patricia patrick paul paula paulina pavel pedro peter petra philipp philippe pierre piotr
priya rachel rafael rahul rainer ralf rebecca renate ricardo richard robert roberto roland rolf
ronald rosa ruth ryan sabine sabrina samantha samuel sandra sara sarah sebastian sergei sharon
silvia simon simone sofia sonja sophia sophie stefan stefanie stephan stephen steven sunita susan
susanne sven svetlana tanja tatjana teresa theresa thomas tim tobias tom tomas tomasz ulrich ulrike
ursula ute uwe valentina valerie vera veronika viktor vincent vladimir volker walter wei werner
wilhelm william wolfgang yuki yusuf yves zoe zofia
"""
#: In small letters, of several languages; those that are usual words or places as well are left out.
GIVEN_NAMES = frozenset(_NAMES.split())
