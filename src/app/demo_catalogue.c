/* What the made-up shop sells. */
#include "demo_priv.h"

#include <math.h>
#include "meros/ml/rng.h"

const struct demo_category demo_categories[CATEGORIES] = {
    {"Home/Kitchen/Cookware", 0, SEASON_GIFTS, 54, {"Cast-iron", "Copper", "Enamelled"},
     {"frying pan", "stock pot", "saucepan", "casserole", "roasting tin"},
     "slow stews and quick suppers", "Heats evenly and goes from the hob to the oven to the table"},
    {"Home/Kitchen/Baking", 0, SEASON_WINTER, 18, {"Classic", "Non-stick", "Stoneware"},
     {"loaf tin", "cake ring", "pie dish", "muffin tray", "mixing bowl"},
     "bread, cakes and Sunday tarts", "Releases cleanly and washes easily"},
    {"Home/Kitchen/Knives", 0, SEASON_GIFTS, 68, {"Forged", "Japanese", "Olive-wood"},
     {"chef's knife", "paring knife", "bread knife", "cleaver", "knife block"},
     "clean cuts, every day", "High-carbon steel that keeps its edge"},
    {"Food/Coffee", 1, SEASON_NONE, 13, {"Ethiopian", "Dark-roast", "Organic"},
     {"espresso beans", "filter coffee", "single-origin beans", "decaf beans", "coffee sampler"},
     "espresso, filter or moka pot", "Roasted weekly in small batches, with notes of cocoa and berries"},
    {"Food/Tea", 1, SEASON_WINTER, 9, {"Loose-leaf", "First-flush", "Spiced"},
     {"green tea", "black tea", "herbal infusion", "chai blend", "white tea"},
     "quiet mornings and long afternoons", "Whole leaves in a tin that keeps them fresh"},
    {"Home/Kitchen/Coffee makers", 1, SEASON_GIFTS, 89, {"Stainless", "Glass", "Compact"},
     {"French press", "moka pot", "pour-over set", "burr grinder", "milk frother"},
     "coffee as a barista would make it", "Few parts, all of them replaceable"},
    {"Garden/Tools", 2, SEASON_SPRING, 29, {"Ash-handled", "Stainless", "Lightweight"},
     {"spade", "pruning shears", "hand trowel", "rake", "watering can"},
     "beds, borders and balconies", "Made to be sharpened and handed down"},
    {"Garden/Seeds", 2, SEASON_SPRING, 5, {"Heirloom", "Organic", "Wildflower"},
     {"tomato seeds", "salad mix", "herb collection", "sunflower seeds", "bean seeds"},
     "a harvest from the first year on", "Untreated, with sowing notes on the packet"},
    {"Garden/Furniture", 2, SEASON_SUMMER, 149, {"Teak", "Folding", "Powder-coated"},
     {"garden chair", "bistro table", "bench", "parasol", "deck chair"},
     "long evenings outside", "Weatherproof and stored flat in winter"},
    {"Sport/Hiking", 3, SEASON_SUMMER, 74, {"Waterproof", "Ultralight", "Merino"},
     {"hiking boots", "day pack", "trekking poles", "base layer", "rain jacket"},
     "day walks and long trails", "Tested over hundreds of kilometres in the hills"},
    {"Sport/Camping", 3, SEASON_SUMMER, 96, {"Two-person", "Three-season", "Packable"},
     {"tent", "sleeping bag", "camping stove", "sleeping mat", "head torch"},
     "nights under the sky", "Packs small and sets up in minutes"},
    {"Sport/Cycling", 3, SEASON_SPRING, 48, {"Reflective", "Waterproof", "Touring"},
     {"pannier", "bike lock", "helmet", "cycling gloves", "bike light"},
     "commutes and long rides", "Sturdy fastenings and a five-year guarantee"},
    {"Toys/Wooden toys", 4, SEASON_GIFTS, 27, {"Beech-wood", "Painted", "Stackable"},
     {"train set", "building blocks", "marble run", "shape sorter", "pull-along dog"},
     "small hands and big ideas", "Water-based colours, rounded edges, no batteries"},
    {"Toys/Puzzles", 4, SEASON_GIFTS, 19, {"Illustrated", "Thousand-piece", "World-map"},
     {"jigsaw puzzle", "floor puzzle", "logic game", "memory game", "card game"},
     "rainy weekends with the family", "Thick recycled board that fits snugly"},
    {"Children/Books", 4, SEASON_GIFTS, 14, {"Illustrated", "Bedtime", "Pop-up"},
     {"picture book", "story collection", "atlas", "nature guide", "activity book"},
     "reading aloud and reading alone", "Sewn binding that survives many bedtimes"},
    {"Home/Lighting", 5, SEASON_WINTER, 62, {"Brass", "Linen-shade", "Dimmable"},
     {"table lamp", "floor lamp", "pendant light", "reading light", "string lights"},
     "warm corners", "Takes any standard bulb; cord of woven cotton"},
    {"Home/Textiles", 5, SEASON_WINTER, 39, {"Linen", "Wool", "Organic-cotton"},
     {"throw", "cushion cover", "bed linen", "bath towel", "table runner"},
     "rooms that feel lived in", "Woven in Europe, softer with every wash"},
    {"Home/Decoration", 5, SEASON_GIFTS, 24, {"Hand-thrown", "Recycled-glass", "Scented"},
     {"vase", "candle", "picture frame", "storage basket", "wall clock"},
     "shelves, tables and presents", "Each piece is a little different"},
    {"Beauty/Skin care", 6, SEASON_NONE, 22, {"Rose-hip", "Unscented", "Sea-buckthorn"},
     {"face oil", "hand cream", "day cream", "cleanser", "lip balm"},
     "dry and sensitive skin", "Few ingredients, all of them on the front of the jar"},
    {"Beauty/Bath", 6, SEASON_WINTER, 12, {"Lavender", "Citrus", "Cedar"},
     {"soap bar", "bath salts", "shower gel", "body lotion", "shampoo bar"},
     "unhurried baths", "Cold-processed and wrapped in paper"},
};

const double demo_season_weights[SEASON_COUNT][12] = {
    {0.9, 0.9, 1.0, 1.0, 1.0, 0.95, 0.9, 0.9, 1.0, 1.0, 1.15, 1.25},
    {0.4, 0.8, 1.9, 2.2, 1.9, 1.2, 0.8, 0.6, 0.8, 0.6, 0.4, 0.4},
    {0.4, 0.5, 0.8, 1.2, 1.7, 2.0, 1.9, 1.5, 0.9, 0.5, 0.4, 0.5},
    {1.4, 1.2, 1.0, 0.8, 0.6, 0.5, 0.5, 0.6, 0.9, 1.2, 1.6, 1.7},
    {0.5, 0.6, 0.7, 0.9, 0.9, 0.7, 0.7, 0.7, 0.8, 1.0, 2.1, 2.6},
};

/* Traits of a product come from its number alone: the catalogue is the same in every made-up shop. */
static double trait(size_t product, uint64_t which)
{
    struct ml_rng r;
    ml_rng_stream(&r, 0x5EED, product * 8 + which);
    return ml_rng_uniform(&r);
}

double demo_product_price(size_t product)
{
    double spread = exp((trait(product, 0) - 0.5) * 1.4); /* half to double the typical price of its category */
    return floor(demo_categories[product / PRODUCTS_PER_CATEGORY].price * spread) + 0.95;
}

double demo_product_quality(size_t product)
{
    return 0.35 + 0.65 * trait(product, 1);
}

static const char *adjective(size_t product)
{
    return demo_categories[product / PRODUCTS_PER_CATEGORY].adjectives[product % PRODUCTS_PER_CATEGORY / 5];
}

const char *demo_search_text(size_t product)
{
    return demo_categories[product / PRODUCTS_PER_CATEGORY].nouns[product % 5];
}

void demo_product_name(size_t product, struct buf *out)
{
    buf_printf(out, "%s %s", adjective(product), demo_search_text(product));
}

void demo_product_description(size_t product, struct buf *out)
{
    static const char *const closings[] = {"A favourite of our regulars", "New in the range this year", "Made by a family workshop",
                                           "Comes with a spare part and a repair promise", "Good to give away"};
    const struct demo_category *c = &demo_categories[product / PRODUCTS_PER_CATEGORY];
    demo_product_name(product, out);
    buf_printf(out, " for %s. %s. %s.", c->use, c->material, closings[(size_t)(trait(product, 2) * 5)]);
}
