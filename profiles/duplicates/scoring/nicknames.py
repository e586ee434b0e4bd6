"""A folded given name → the groups of names it is used for, in the languages our users write. Pure.

A name may be in several groups: Alex is short for Alexander and for Alexandra, who are not short for each
other. To share a group only says that two names *may* be one person's; birth date, mailbox or phone have to
confirm it.
"""

from __future__ import annotations

# One group per line, in folded spelling (see ``features.fold``).
_GROUPS = """
alexander alex alexandr alexandre alessandro aleksander olek sandy sasha lex sascha
alexandra alex alessandra aleksandra ola sandra sandy sasha lexi
andrew andy drew andreas andre andrzej andres andrej ondrej andrea
andrea andrew andy andreia
ann anna anne annie anni hanna hannah ania anka anicka anja anita nancy annette
anthony tony anton antonio antoni antonin antoine toni
barbara barb barbie babs basia barbora
benjamin ben benny benji
bernard bernie bernhard bernardo
catherine katherine kathryn katharine kathleen katharina katarzyna katerina caterina catarina kate katie kathy cathy cat kat kasia kaska katka kitty katrin
karen karin kay
charles charlie chuck carl karl karel carlo carlos karol chas charley
christina christine kristin kristina krystyna cristina chris christy kris krysia tina kirsten christiane
christopher christoph christophe christian cristian krzysztof chris kris cit kit topher
cynthia cindy
daniel dan danny daniele
daniela danielle dani danuta dana danka
david dave davy davide dawid
deborah debra deb debbie debby
diana diane di dianne
dominic dominik dom domenico
nicholas nicolas nikolas niklas nick nicky nico niko mikolaj mikulas klaus nicola claus
nicole nicola nicky niki nikola nicki
donald don donnie
dorothy dorothea dorota dot dotty dora dorothee
edward eddie ed ted ned eduard eduardo edoardo edmund
theodore theo teodor ted teddy
eleanor elena helen helena ellen eleonora nell nellie ela lena
elizabeth elisabeth elisabetta elzbieta alzbeta eliza elisa elise liz lizzy lizzie beth betty betsy bess lisa liza libby ella bettina
isabel isabella isabelle isabell izabela bella izzy
emily emilia emma em emmy emilie milly
eugene gene eugeniusz
eve eva ewa evie evelyn
florence flo flora flossie
francis frank francesco franciszek frantisek francisco francois franz paco pancho fran frankie
frances fran francesca francoise franziska francine fanny frankie franka
frederick fred freddie friedrich fritz federico frederic fryderyk bedrich frederik rick
gabriel gabe gabriele
gabriela gabriella gabrielle gaby gabi
george georg jorge giorgio georges jerzy jiri jurek georgie jirka
gerald jerry gerry
gerard gerhard gerardo gerry
gregory greg gregor grzegorz grzes rehor
harold harry hal
henry henri heinrich henryk enrico enrique hank harry heinz jindrich hendrik henk hal
hugh hugo
john jon johnny jack jan johann johannes hans giovanni gianni jean juan ian iwan ivan janek honza jens hansi
jonathan jon jonny nathan john
johanna joanna joan jane jana janet janice jeanne giovanna juana joanne jo jenka asia joasia jean janca hanka
jonas jona
ignatius ignacio ignacy nacho
jacob jakob jakub jake kuba giacomo iacopo
james jim jimmy jamie jaime jacques
diego santiago iago
jacqueline jackie
jennifer jen jenny jenn jennie
jeffrey geoffrey jeff geoff
jessica jess jessie
joseph joe joey jo josef jozef jose giuseppe beppe pepe pepa peppe pino sepp
josephine josefa josefina jozefa josie jo
joshua josh
judith judy judyta jude
julia julie juliet giulia juliana julka jula jules
julian julius jules julien giulio
kenneth ken kenny
kimberly kim kimmy
lawrence laurence larry lars lorenzo laurent wawrzyniec vavrinec lorenz laurie
laura laurie lori lauren
leo leon leonard leonardo len lenny leonhard
louis lewis luis luigi ludwig ludwik ludvik lou louie gigi
louise luisa louisa lou luise ludwika
lucas luke luca lukas lukasz luc
lucia lucy lucie lucja lucille
magdalena madeleine madeline magda maggie maddie lena
margaret margarita margherita margarete malgorzata marketa gosia malgosia meg maggie peggy greta grete gretchen marge margie rita daisy margot
marcus mark marco marc marek markus marcel marcin marcos
mary maria marie mia molly polly marija marysia maryla miriam
mariana marianne marion mariann
mario marius mariusz
martin marty marcin
martina marta martha martine tina
matthew matt matthias mathias matteo mateusz mateo matej mathieu matyas matty matias
maximilian max maxim massimo maksymilian maxime
melissa mel missy
melanie mel mellie
michael mike mick mickey micky michal michele miguel mikael mikey misha mischa michel
michaela michelle michele mikaela shelly michala
nathaniel nate nat nathan
natalie natalia nat natasha
oliver ollie olivier oliwier
olivia oliwia liv livia
pamela pam
patrick pat paddy patryk patrizio patrik
patricia pat patty trish tricia patrizia patrycja
paul paulo pablo paolo pawel pavel
paula pauline paulina pavla
peter pete petr piotr pedro pietro pierre pit piotrek pieter piet
petra petronela
philip phil phillip philippe felipe filip filippo pip
philippa pippa pip
rafael raphael rafal raffaele rafaele raf
raymond ray raimund ramon
rebecca becky becca rebekka bec
richard rick ricky dick rich richie ricardo riccardo ryszard rysiek dickie
robert bob bobby rob robbie roberto robin bert rupert
roger rod
rodney rod
ronald ron ronnie
rose rosa rosie rosemary rozalia
samuel sam sammy samuele
samantha sam sammy
sarah sara sally sadie
sebastian seb basti sebastiano bastien
simon szymon si simone
simone simona
sofia sophie sophia zofia zosia sofie zofie
stephen steven steve stephan stefan stefano esteban etienne szczepan stevie stepan
stephanie steffi steph stefanie stefania stepanka stevie
susan sue suzanne susanne suzy zuzana zuzanna susanna susana suzie susie
terence terry
teresa theresa tess therese terri tereza reza terry
thomas tom tommy tomas tomasz tommaso tomek thom
timothy tim timmy timo
tobias toby tobi
valentin walenty valentino val
valentina valerie valeria val
veronica veronika ronnie weronika vera
victor vic wiktor viktor vittorio
victoria vicky viki wiktoria viktoria vicki vittoria tori
vincent vince vincenzo vicente wincenty vinnie
virginia ginny ginger
walter walt wally
william bill billy willy will liam wilhelm guillermo guillaume guglielmo willem wim vilem
wilhelmina willa mina
wolfgang wolf
vojtech wojciech wojtek adalbert
stanislav stanislaw stan stasiek stanley standa
vladimir wlodzimierz vlad volodymyr
vladislav wladyslaw wladek vlad
zbigniew zbyszek
tadeusz thaddeus tad
agnes agnieszka aga anezka ines agnese
agata agatha aggie
beatrice beatriz beata beate trixie bea
caroline carolina karolina karoline carol carrie caro karola carolyn
claire clara klara chiara clare
dennis denis
denise denisa
douglas doug
gwendolyn gwen
jeremy jerry jem
jaroslav jaroslaw jarek
kevin kev
lillian lily lilian lilia lil
linda lindsay lynn lin
nadia nadine nadezda
norman norm
priscilla cilla
russell russ
sidney sid sydney
stuart stewart stu
amanda mandy
malgorzata gosia
sylvia silvia sylwia sylvie silvie
"""


_GROUPS_OF: dict[str, list[int]] = {}
for _number, _group in enumerate(_GROUPS.split("\n")):
    for _name in _group.split():
        _GROUPS_OF.setdefault(_name, []).append(_number)


def groups_of(first_name: str) -> list[int]:
    """The numbers of the groups a folded name is in."""
    return _GROUPS_OF.get(first_name, [])
