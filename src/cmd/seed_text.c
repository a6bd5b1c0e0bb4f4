#include "cmd/seed_text.h"

#include "base/macros.h"

/* -- chance
 * ------------------------------------------------------------------------------------------------
 */

uint64_t seed_next(struct seed_random *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t seed_below(struct seed_random *r, uint64_t n)
{
    return seed_next(r) % n;
}

bool seed_chance(struct seed_random *r, unsigned per_thousand)
{
    return seed_below(r, 1000) < per_thousand;
}

unsigned seed_skewed(struct seed_random *r, unsigned max, unsigned steep)
{
    double x = 1.0, unit = (double)(seed_next(r) >> 11) / 9007199254740992.0;
    for (unsigned i = 0; i < steep; i++)
        x *= unit;
    return (unsigned)(x * (double)(max + 1));
}

/* -- words
 * -------------------------------------------------------------------------------------------------
 */

#define THINGS 8u
#define PROBLEMS 3u
#define CAUSES 6u
#define REMEDIES 8u

struct thing {
    const char *name;               /* many of them */
    const char *problems[PROBLEMS]; /* what they do that they should not */
};

struct topic {
    const char *name;
    const char *place;
    struct thing things[THINGS];
    const char *causes[CAUSES];
    const char *remedies[REMEDIES];
    const char *tags[SEED_TOPIC_TAGS][2];
};

static const struct topic topics[SEED_TOPICS] = {
    { .name = "gardening",
      .place = "the garden",
      .things = { { "tomatoes",
                    { "turn yellow from the bottom up", "split after rain",
                      "stay green until October" } },
                  { "courgettes",
                    { "rot at the tip", "have white dust on the leaves",
                      "flower and never fruit" } },
                  { "roses",
                    { "lose their leaves in July", "have black spots again",
                      "grow tall and hardly flower" } },
                  { "strawberries",
                    { "get eaten overnight", "stay small and sour",
                      "put everything into runners" } },
                  { "runner beans",
                    { "drop their flowers", "come up in patches", "turn stringy within a day" } },
                  { "lettuces",
                    { "go to seed in June", "taste bitter", "vanish down to the stump" } },
                  { "young apple trees",
                    { "stop growing in July", "lean further every winter",
                      "drop half their fruit" } },
                  { "chillies",
                    { "wilt every afternoon", "flower far too late",
                      "are covered in small green lice" } } },
      .causes = { "uneven watering", "too little light", "tired soil", "slugs", "a late cold night",
                  "feeding them too much" },
      .remedies = { "water early, deep and seldom", "put a hand's width of straw on the bed",
                    "pinch out the tips once a week", "move a few to where the sun is until noon",
                    "dig in compost before you plant again",
                    "cover them with fleece until the end of May",
                    "go out with a torch after dark and pick off what you find",
                    "give each of them twice the room" },
      .tags = { { "vegetables", "Growing what ends in the kitchen." },
                { "soil", "Earth, compost and what to add to them." },
                { "pests", "Who else eats from the bed, and what to do about it." },
                { "fruit", "Trees, bushes and berries." },
                { "pots", "Gardens on balconies and window sills." } } },
    { .name = "woodworking",
      .place = "the workshop",
      .things = { { "drawers",
                    { "stick in damp weather", "rattle when half open",
                      "tip forward when pulled out" } },
                  { "table legs",
                    { "wobble after a week", "come out a little short", "twist as they dry" } },
                  { "dovetails",
                    { "show gaps at the shoulder", "split when I tap them home",
                      "sit proud by a hair" } },
                  { "oak boards",
                    { "cup after planing", "split near the ends",
                      "turn black around the screws" } },
                  { "chair joints",
                    { "creak within a month", "come loose in winter",
                      "refuse to close the last millimetre" } },
                  { "cabinet doors",
                    { "hang crooked", "warp along the diagonal", "rub at the bottom" } },
                  { "mitres",
                    { "open up on the outside", "slide when I clamp them",
                      "never add up to ninety degrees" } },
                  { "glued panels",
                    { "go blotchy under oil", "bow towards the heart side",
                      "open up along one joint" } } },
      .causes = { "wood that was not dry yet", "a blunt iron", "too much clamp pressure",
                  "measuring from different ends", "grain that changes direction",
                  "the glue drying too fast" },
      .remedies = { "sharpen first, then sharpen again", "leave the wood in the room for two weeks",
                    "plane from both ends towards the middle",
                    "cut to the line with a knife, not a pencil",
                    "use half the clamps and a straight batten",
                    "seal the end grain before anything else", "try it on an offcut",
                    "check the saw against a square you trust" },
      .tags = { { "joinery", "How two pieces become one." },
                { "hand-tools", "Planes, chisels, saws and keeping them sharp." },
                { "finishing", "Oil, wax, varnish and patience." },
                { "furniture", "Tables, chairs and what they stand on." },
                { "timber", "Choosing, drying and storing wood." } } },
    { .name = "cycling",
      .place = "the shed",
      .things = { { "brakes", { "squeal in the rain", "rub on one side", "feel like sponges" } },
                  { "gears",
                    { "jump when I stand up", "change by themselves uphill",
                      "refuse the smallest sprocket" } },
                  { "spokes",
                    { "come loose every week", "break on the drive side",
                      "sing when I push hard" } },
                  { "tyres",
                    { "lose pressure overnight", "wear square in one season",
                      "collect every thorn in the county" } },
                  { "wheel bearings",
                    { "growl on long descents", "have play after a week",
                      "feel rough after rain" } },
                  { "pedals", { "click on every turn", "seize in winter", "unscrew themselves" } },
                  { "dynamo lights",
                    { "fail as soon as it gets cold", "flicker on cobbles",
                      "go out when I stop" } },
                  { "mudguards",
                    { "rattle on every road", "catch leaves until they stop the wheel",
                      "crack at the stay" } } },
      .causes = { "a worn part nobody looked at", "something bent that looks straight",
                  "grease where it should not be", "a cable that has frayed inside",
                  "one bolt that does no work", "parts that were never meant for each other" },
      .remedies = { "clean everything first, then listen again",
                    "change cable and housing together",
                    "turn it a quarter, ride a minute, and turn again",
                    "take the wheel out and put it back with the bike on the ground",
                    "measure before you buy anything",
                    "put a washer behind it and a drop of thread lock on it",
                    "borrow the part from a bike that works",
                    "go round twice, a little at a time" },
      .tags = { { "maintenance", "What to do before it breaks." },
                { "drivetrain", "Chains, gears and what turns them." },
                { "wheels", "Rims, spokes, hubs and tyres." },
                { "touring", "Going far with bags." },
                { "commuting", "Every day, in every weather." } } },
    { .name = "cooking",
      .place = "the kitchen",
      .things = { { "sourdough loaves",
                    { "come out dense", "spread instead of rising", "burn at the bottom" } },
                  { "pancakes",
                    { "stick to the pan", "burn outside and stay raw inside",
                      "turn out like rubber" } },
                  { "dumplings",
                    { "fall apart in the water", "stay hard in the middle",
                      "swell to twice their size" } },
                  { "lentils", { "taste of very little", "turn to mush", "stay hard for hours" } },
                  { "pickled cucumbers",
                    { "go soft after a week", "turn cloudy", "end up far too salty" } },
                  { "pie crusts",
                    { "shrink in the oven", "stay pale underneath",
                      "crumble before they reach the plate" } },
                  { "flatbreads",
                    { "puff on one side only", "dry out before the table is laid",
                      "tear when I roll them" } },
                  { "custards",
                    { "curdle at the last moment", "refuse to set", "weep after a day" } } },
      .causes = { "heat that comes too fast", "flour or beans older than they look",
                  "too little salt", "opening the lid too early", "a pan that is too thin",
                  "not letting it rest" },
      .remedies = { "weigh everything, water too", "wait an hour longer than you think",
                    "salt earlier and taste more often",
                    "heat the pan for five minutes before anything goes in",
                    "use a thermometer for once", "put it on the lowest shelf",
                    "make a single one first and look at it", "let it cool before you judge it" },
      .tags = { { "bread", "Flour, water, salt and time." },
                { "preserving", "Jars, salt, vinegar and smoke." },
                { "techniques", "How, rather than what." },
                { "equipment", "Pans, knives and ovens." },
                { "vegetarian", "Without meat and without missing it." } } },
    { .name = "house repairs",
      .place = "the house",
      .things = { { "taps",
                    { "drip all night", "knock when I turn them off",
                      "run hot only after minutes" } },
                  { "door hinges",
                    { "creak at every move", "let the doors drop", "shed their screws" } },
                  { "sash windows",
                    { "let the cold in", "jam when it is hot", "will not stay up" } },
                  { "radiators",
                    { "stay cold at the top", "gurgle in the evening",
                      "leave a brown ring on the floor" } },
                  { "floorboards",
                    { "creak at every step", "open gaps in winter", "give way near the wall" } },
                  { "shelves",
                    { "sag in the middle", "tear their plugs out of the wall",
                      "lean towards the room" } },
                  { "gutters",
                    { "overflow in heavy rain", "drip behind the board",
                      "freeze solid every January" } },
                  { "kitchen tiles",
                    { "come loose one by one", "sound hollow", "crack along one line" } } },
      .causes = { "a worn seal", "screws that are too short", "an old layer of paint",
                  "something the frost did", "a beam that has moved",
                  "somebody's repair of twenty years ago" },
      .remedies = { "take a picture of every step", "use longer screws and a wooden plug",
                    "scrape off the old paint first", "start at the lowest point and work upwards",
                    "drill a thin hole before the big one",
                    "put a level on it before you believe anything",
                    "clean the old sealant off completely",
                    "take the whole thing down and start from the wall" },
      .tags = { { "plumbing", "Water where it should be, and nowhere else." },
                { "windows-doors", "What opens, and should close." },
                { "walls-floors", "What one stands on and leans against." },
                { "heating", "Getting through the winter." },
                { "tools", "What to buy, and what to borrow." } } },
    { .name = "sewing",
      .place = "the sewing room",
      .things = { { "seams",
                    { "pucker after the first wash", "come undone at the ends",
                      "pull to one side" } },
                  { "zips", { "come out wavy", "catch the lining", "end a finger too low" } },
                  { "hems",
                    { "twist after washing", "end up different lengths", "show every stitch" } },
                  { "buttonholes",
                    { "fray within a month", "come out too tight", "look like bites" } },
                  { "sleeves",
                    { "pull at the shoulders", "turn around the arm",
                      "have tucks I did not ask for" } },
                  { "collars", { "curl at the tips", "gape at the back", "never lie flat" } },
                  { "trouser pockets",
                    { "gape when I sit down", "wear through at the corner",
                      "turn themselves inside out" } },
                  { "curtains",
                    { "hang shorter on one side", "refuse to fall in folds",
                      "fade in stripes" } } },
      .causes = { "thread tension", "fabric that was not washed before",
                  "cutting against the grain", "a needle that is too thick",
                  "pulling the cloth through", "a pattern made for somebody else" },
      .remedies = { "wash and iron the cloth before you cut",
                    "put in a new needle: they last eight hours, not eight years",
                    "baste it by hand and try it on", "press every seam before you cross it",
                    "make the first one from an old sheet", "lengthen the stitch a little",
                    "mark both sides with chalk, not only one", "let it hang for a day first" },
      .tags = { { "mending", "Making it last." },
                { "patterns", "From paper to cloth." },
                { "machines", "What hums, and when it stops humming." },
                { "fabrics", "Wool, linen, cotton and the rest." },
                { "fitting", "Made for a body, not for a size." } } },
};

static const char *const first_names[] = {
    "Ana",   "Kofi",   "Mei",   "Lars",  "Priya",  "Tomas", "Fatima", "Jonas", "Aiko",  "Bruno",
    "Clara", "Dmitri", "Elif",  "Femi",  "Greta",  "Hugo",  "Ines",   "Jamal", "Katya", "Liam",
    "Marta", "Nils",   "Olga",  "Pedro", "Quinn",  "Rosa",  "Samir",  "Tilda", "Umar",  "Vera",
    "Wanda", "Xavi",   "Yusuf", "Zoe",   "Ask",    "Bea",   "Cem",    "Dora",  "Emeka", "Freya",
    "Goran", "Hana",   "Ivo",   "Juno",  "Kiran",  "Lena",  "Mateo",  "Nadia", "Oscar", "Paloma",
    "Rafi",  "Sofie",  "Tariq", "Uma",   "Viktor", "Yara",  "Zeno",   "Amina", "Bo",    "Chiara",
};
static const char *const last_names[] = {
    "Petrov",  "Mensah", "Lindqvist", "Okafor",  "Tanaka",   "Moreau",  "Silva",   "Novak",
    "Haddad",  "Brandt", "Costa",     "Eriksen", "Farkas",   "Garcia",  "Horvat",  "Ibrahim",
    "Jansen",  "Kaya",   "Larsson",   "Meyer",   "Nakamura", "Olsen",   "Pereira", "Quist",
    "Rossi",   "Sharma", "Torres",    "Ueda",    "Varga",    "Weber",   "Yilmaz",  "Zhang",
    "Adeyemi", "Bakker", "Chen",      "Dubois",  "Endo",     "Fischer", "Gupta",   "Hansen",
};
static const char *const nicknames[] = {
    "sawdust",   "slowspoke", "greenthumb", "crumbs",     "oldnail",    "threadbare",
    "mossy",     "tinker",    "lamplight",  "quietplane", "rainbarrel", "sourstarter",
    "halfhitch", "pinewood",  "bobbin",     "gravelroad", "copperpot",  "thimble",
};
static const char *const locations[] = {
    "Porto",
    "Kraków",
    "Leeds",
    "Accra",
    "Utrecht",
    "Oaxaca",
    "Göteborg",
    "Izmir",
    "Cork",
    "Kyoto",
    "Lyon",
    "Halifax",
    "Graz",
    "Tallinn",
    "Nairobi",
    "Bergen",
    "Bologna",
    "Kerala",
    "Hobart",
    "Málaga",
    "Brno",
    "Aarhus",
    "Quito",
    "Dresden",
    "a village near Pécs",
    "the north of somewhere",
    "on a boat, mostly",
    "Montréal",
};

static const char *const question_titles[] = {
    "Why do my {things} {problem}?",
    "My {things} {problem}. What am I doing wrong?",
    "{Things} that {problem}: is it {cause}?",
    "How do I save my {things}? They {problem}",
    "Is there hope for {things} that {problem}?",
    "{Things}: all of them {problem}, and I have run out of ideas",
    "Third try, and my {things} still {problem}",
    "What causes {things} to do this? They {problem}",
};
static const char *const openings[] = {
    "I have been at this for two seasons now, and my {things} {problem}.",
    "Last weekend it happened again: my {things} {problem}.",
    "I am new to {topic}, so this may be obvious. My {things} {problem}, every single time.",
    "My grandmother never had this. Mine {problem}, though I do what she did with her {things}.",
    "Everything in {place} is going well except one thing: my {things} {problem}.",
    "I followed a book to the letter, and still my {things} {problem}.",
};
static const char *const tried[] = {
    "A neighbour says it is {cause}, but I am not so sure.",
    "So far I have tried to {remedy}. It helped for about a week.",
    "I have read that {cause} can do this. How would I find out?",
    "It is worse when I am in a hurry, which may say something about me.",
    "Half of them are fine, and I cannot see what is different about those.",
    "It began in spring. Nothing else has changed that I know of.",
    "I would rather not buy anything before I know why.",
    "There is a picture in my head of how it should look, and this is not it.",
};
static const char *const asking[] = {
    "What would you look at first?",
    "Is there a way to save these, or do I start again?",
    "Has anybody had the same and found the reason?",
    "What is the simplest thing I could try?",
    "How do you tell {cause} from something worse?",
};
static const char *const answer_openings[] = {
    "That is almost always {cause}.",
    "I had exactly this for years. In my case it was {cause}.",
    "Two things come to mind, and the first is {cause}.",
    "Before anything else, rule out {cause}.",
    "It looks like {cause} to me, though a picture would help.",
    "You are closer than you think.",
};
static const char *const answer_middles[] = {
    "What helped me: {remedy}.",
    "Start small: {remedy}, then wait before you change anything else.",
    "The short version is to {remedy}.",
    "If that does nothing, {remedy}.",
    "It sounds like too much work, but {remedy}. It takes ten minutes.",
    "And do not skip this: {remedy}.",
};
static const char *const answer_ends[] = {
    "Change one thing at a time, or you will never know which it was.",
    "Mine have been fine for three years since.",
    "Write down what you do; I wish I had.",
    "Report back, I am curious.",
    "If your {things} still {problem} after that, ask again here.",
    "There is no shame in starting over. The second time goes twice as fast.",
    "",
};
static const char *const story_titles[] = {
    "A year of {things}: what I learned",
    "Finished at last: my {things}",
    "Notes on {things}, after many mistakes",
    "What nobody told me about {topic}",
    "A small trick for {things}",
    "Show yours: {things} you are proud of",
};
static const char *const stories[] = {
    "A year ago my {things} would {problem}, and I was about to give up.",
    "The thing that made the difference was to {remedy}.",
    "Most of what went wrong came down to {cause}.",
    "I keep a notebook in {place} now, with dates.",
    "None of this is new, but it was new to me.",
    "The best advice came from this community, so here is some back.",
    "It is not perfect. Look closely and you will find where I lost patience.",
    "Were I to begin again, I would {remedy}.",
    "Total cost: two evenings and one bruised thumb.",
};
static const char *const comments[] = {
    "Same here. Mine {problem} too.",
    "Have you checked for {cause}?",
    "This worked, thank you! It really was {cause}.",
    "Could you add a picture?",
    "First of all: {remedy}.",
    "How long ago did this start?",
    "Good answer. I would only add: {remedy}.",
    "Where do you live? It matters more than people think.",
    "I am not convinced, but I will try it this weekend.",
    "Saved for later. I have the same {things}.",
    "My father swore by this.",
    "That is the clearest explanation I have read.",
    "It depends. With {cause} this would make it worse.",
    "Update: three weeks on, still good.",
};
static const char *const abouts[] = {
    "Mostly {topic}, sometimes other things.",
    "Learning {topic}, slowly.",
    "Thirty years of {topic} and still surprised.",
    "Here for the {things}.",
    "I mend what others throw away.",
    "Teacher by day. In the evening you find me in {place}.",
    "Asks too many questions. Tries to answer some.",
    "Two left hands, one good chisel.",
};

#define PICK(r, array) ((array)[seed_below((r), ARRAY_LEN(array))])

/* -- sentences
 * ------------------------------------------------------------------------------------------------
 */

static const char *word_for(const struct seed_subject *s, struct slice slot)
{
    const struct topic *topic = &topics[s->topic];
    const struct {
        struct slice name;
        const char *word;
    } words[] = {
        { SLICE_INIT("things"), topic->things[s->thing].name },
        { SLICE_INIT("Things"), topic->things[s->thing].name },
        { SLICE_INIT("problem"), topic->things[s->thing].problems[s->problem] },
        { SLICE_INIT("cause"), topic->causes[s->cause] },
        { SLICE_INIT("remedy"), topic->remedies[s->remedy] },
        { SLICE_INIT("topic"), topic->name },
        { SLICE_INIT("place"), topic->place },
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq(words[i].name, slot))
            return words[i].word;
    return "";
}

static void put_sentence(const struct seed_subject *s, const char *template, struct buf *out)
{
    struct slice rest = slice_cstr(template);
    while (rest.len) {
        size_t open = slice_find(rest, '{');
        buf_put_slice(out, slice_head(rest, open));
        if (open == SIZE_MAX)
            return;
        rest = slice_from(rest, open + 1);
        size_t close = slice_find(rest, '}');
        struct slice slot = slice_head(rest, close), word = slice_cstr(word_for(s, slot));
        if (slot.len && slot.data[0] == 'T' && word.len) {
            buf_putc(out, (char)(word.data[0] - 'a' + 'A'));
            word = slice_from(word, 1);
        }
        buf_put_slice(out, word);
        rest = slice_from(rest, close + 1);
    }
}

/* A different cause from time to time: people disagree. The remedies follow one another. */
static struct seed_subject other_view(struct seed_random *r, struct seed_subject s)
{
    if (seed_chance(r, 400))
        s.cause = (unsigned)seed_below(r, CAUSES);
    s.remedy = (unsigned)seed_below(r, REMEDIES);
    return s;
}

/* `n` different sentences of `from`, in a paragraph. */
static void put_paragraph(struct seed_random *r, const struct seed_subject *s,
                          const char *const *from, unsigned len, unsigned n, struct buf *out)
{
    unsigned start = (unsigned)seed_below(r, len);
    struct seed_subject view = *s;
    buf_put_lit(out, "<p>");
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_putc(out, ' ');
        /* Steps of a number that shares no divisor with the lengths in use visit each sentence
         * once. */
        put_sentence(&view, from[(start + i * 5) % len], out);
        view.remedy = (view.remedy + 3) % REMEDIES;
    }
    buf_put_lit(out, "</p>");
}

struct seed_subject seed_subject(struct seed_random *r)
{
    return (struct seed_subject){
        .topic = (unsigned)seed_below(r, SEED_TOPICS),
        .thing = (unsigned)seed_below(r, THINGS),
        .problem = (unsigned)seed_below(r, PROBLEMS),
        .cause = (unsigned)seed_below(r, CAUSES),
        .remedy = (unsigned)seed_below(r, REMEDIES),
    };
}

void seed_put_name(struct seed_random *r, unsigned index, struct buf *out)
{
    const char *first = PICK(r, first_names), *last = PICK(r, last_names);
    switch (seed_below(r, 5)) {
    case 0:
        buf_printf(out, "%s%u", PICK(r, nicknames), index % 97 + 3);
        return;
    case 1:
        buf_printf(out, "%s %c.", first, last[0]);
        return;
    case 2:
        buf_printf(out, "%s from %s", first, locations[seed_below(r, 20)]);
        return;
    default:
        buf_printf(out, "%s %s", first, last);
        return;
    }
}

void seed_put_location(struct seed_random *r, struct buf *out)
{
    buf_put_cstr(out, PICK(r, locations));
}

void seed_put_about(struct seed_random *r, struct buf *out)
{
    struct seed_subject s = seed_subject(r);
    put_paragraph(r, &s, abouts, ARRAY_LEN(abouts), 1 + (unsigned)seed_below(r, 2), out);
}

void seed_put_question_title(struct seed_random *r, const struct seed_subject *s, struct buf *out)
{
    put_sentence(s, PICK(r, question_titles), out);
}

void seed_put_question(struct seed_random *r, const struct seed_subject *s, struct buf *out)
{
    buf_put_lit(out, "<p>");
    put_sentence(s, PICK(r, openings), out);
    buf_put_lit(out, "</p>\n");
    put_paragraph(r, s, tried, ARRAY_LEN(tried), 2 + (unsigned)seed_below(r, 3), out);
    buf_put_lit(out, "\n<p>");
    put_sentence(s, PICK(r, asking), out);
    buf_put_lit(out, "</p>");
}

void seed_put_answer(struct seed_random *r, const struct seed_subject *s, struct buf *out)
{
    struct seed_subject view = other_view(r, *s);
    buf_put_lit(out, "<p>");
    put_sentence(&view, PICK(r, answer_openings), out);
    buf_put_lit(out, "</p>\n");
    put_paragraph(r, &view, answer_middles, ARRAY_LEN(answer_middles),
                  1 + (unsigned)seed_below(r, 3), out);
    const char *end = PICK(r, answer_ends);
    if (!*end)
        return;
    buf_put_lit(out, "\n<p>");
    put_sentence(&view, end, out);
    buf_put_lit(out, "</p>");
}

void seed_put_story_title(struct seed_random *r, const struct seed_subject *s, struct buf *out)
{
    put_sentence(s, PICK(r, story_titles), out);
}

void seed_put_story(struct seed_random *r, const struct seed_subject *s, struct buf *out)
{
    put_paragraph(r, s, stories, ARRAY_LEN(stories), 2 + (unsigned)seed_below(r, 2), out);
    buf_putc(out, '\n');
    put_paragraph(r, s, stories, ARRAY_LEN(stories), 1 + (unsigned)seed_below(r, 3), out);
}

void seed_put_comment(struct seed_random *r, const struct seed_subject *s, struct buf *out)
{
    struct seed_subject view = other_view(r, *s);
    put_sentence(&view, PICK(r, comments), out);
}

struct slice seed_tag(unsigned topic, unsigned index)
{
    return slice_cstr(topics[topic].tags[index][0]);
}

struct slice seed_tag_summary(unsigned topic, unsigned index)
{
    return slice_cstr(topics[topic].tags[index][1]);
}
