/* tests/contract/test_schema_refs.c - References, anchors, identifiers, and what unevaluated* knows
 * of. */
#include "schema_cases.h"

static void test_references(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "to the root", "{'properties':{'foo':{'$ref':'#'}},'additionalProperties':false}",
          "[{'foo':false},{'foo':{'foo':false}},{}]", "[{'bar':false},{'foo':{'bar':false}}]" },
        { "to a sibling",
          "{'properties':{'foo':{'type':'integer'},'bar':{'$ref':'#/properties/foo'}}}",
          "[{'bar':3}]", "[{'bar':true}]" },
        { "into an array", "{'prefixItems':[{'type':'integer'},{'$ref':'#/prefixItems/0'}]}",
          "[[1,2]]", "[[1,'foo']]" },
        { "with escapes",
          "{'$defs':{'tilde~field':{'type':'integer'},'slash/"
          "field':{'type':'integer'},'percent%field':{'type':'integer'}},"
          "'properties':{'tilde':{'$ref':'#/$defs/tilde~0field'},'slash':{'$ref':'#/$defs/"
          "slash~1field'},"
          "'percent':{'$ref':'#/$defs/percent%25field'}}}",
          "[{'slash':123},{'tilde':123},{'percent':123}]",
          "[{'slash':'a'},{'tilde':'a'},{'percent':'a'}]" },
        { "one behind the other",
          "{'$defs':{'a':{'type':'integer'},'b':{'$ref':'#/$defs/a'},'c':{'$ref':'#/$defs/"
          "b'}},'$ref':'#/$defs/c'}",
          "[5]", "['a']" },
        { "with siblings",
          "{'$defs':{'r':{'type':'array'}},'properties':{'foo':{'$ref':'#/$defs/r','maxItems':2}}}",
          "[{'foo':[]},{'foo':[1,2]}]", "[{'foo':[1,2,3]},{'foo':'string'}]" },
        { "to the meta-schema", "{'$ref':'https://json-schema.org/draft/2020-12/schema'}",
          "[{'minLength':1},true,{},{'type':['string','null']},{'$defs':{'foo':{'type':'integer'}}}"
          ",{'$anchor':'a'},"
          "{'x':1},{'$ref':'nowhere.json'},{'properties':{'a':{'items':{'not':true}}}},{'$id':'a#'}"
          ",{'enum':[]}]",
          "[{'minLength':-1},{'$defs':{'foo':{'type':1}}},{'type':'strung'},{'type':[]},{'type':['"
          "null','null']},1,'x',null,"
          "[],{'$id':'urn:example:foo-bar-baz-qux#somepart'},{'properties':{'a':{'items':[]}}},{'"
          "allOf':[]},{'pattern':'^(abc]'},"
          "{'multipleOf':0},{'required':['a','a']},{'required':'a'},{'$anchor':'1a'},{'"
          "patternProperties':{'[':{}}},"
          "{'dependentRequired':{'a':[1]}},{'minLength':1.5},{'uniqueItems':1},{'items':{'type':'x'"
          "}},{'$vocabulary':{'a':true}}]" },
        { "to a part of the meta-schema",
          "{'$ref':'https://json-schema.org/draft/2020-12/schema#/properties/minLength'}", "[3]",
          "[-1,'x']" },
        { "to the meta-schema within",
          "{'properties':{'schema':{'$ref':'https://json-schema.org/draft/2020-12/schema#'}}}",
          "[{'schema':{'type':'null'}},{}]", "[{'schema':1}]" },
        { "a property named $ref", "{'properties':{'$ref':{'type':'string'}}}", "[{'$ref':'a'}]",
          "[{'$ref':2}]" },
        { "a property named $ref that is one",
          "{'properties':{'$ref':{'$ref':'#/$defs/"
          "is-string'}},'$defs':{'is-string':{'type':'string'}}}",
          "[{'$ref':'a'}]", "[{'$ref':2}]" },
        { "to true", "{'$ref':'#/$defs/bool','$defs':{'bool':true}}", "['foo']", NULL },
        { "to false", "{'$ref':'#/$defs/bool','$defs':{'bool':false}}", NULL, "['foo']" },
        { "a tree",
          "{'$id':'http://localhost:1234/"
          "tree','type':'object','properties':{'meta':{'type':'string'},'nodes':{'type':'array',"
          "'items':{'$ref':'node'}}},'required':['meta','nodes'],'$defs':{'node':{'$id':'http://"
          "localhost:1234/node',"
          "'type':'object','properties':{'value':{'type':'number'},'subtree':{'$ref':'tree'}},'"
          "required':['value']}}}",
          "[{'meta':'root','nodes':[{'value':1,'subtree':{'meta':'child','nodes':[{'value':1.1},{'"
          "value':1.2}]}},"
          "{'value':2,'subtree':{'meta':'child','nodes':[{'value':2.1}]}}]}]",
          "[{'meta':'root','nodes':[{'value':1,'subtree':{'meta':'child','nodes':[{'value':'string "
          "is invalid'}]}}]}]" },
        { "with a quote",
          "{'properties':{'foo\\u0022bar':{'$ref':'#/$defs/"
          "foo%22bar'}},'$defs':{'foo\\u0022bar':{'type':'number'}}}",
          "[{'foo\\u0022bar':1}]", "[{'foo\\u0022bar':'1'}]" },
        { "a scope of its own",
          "{'$defs':{'A':{'unevaluatedProperties':false}},'properties':{'prop1':{'type':'string'}},"
          "'$ref':'#/$defs/A'}",
          NULL, "[{'prop1':'match'}]" },
        { "not replaced by its target",
          "{'$defs':{'a_string':{'type':'string'}},'enum':[{'$ref':'#/$defs/a_string'}]}",
          "[{'$ref':'#/$defs/a_string'}]", "['this is a string',{'type':'string'}]" },
        { "relative to a base",
          "{'$id':'http://example.com/"
          "schema-relative-uri-defs1.json','properties':{'foo':{'$id':'schema-relative-uri-defs2."
          "json',"
          "'$defs':{'inner':{'properties':{'bar':{'type':'string'}}}},'$ref':'#/$defs/"
          "inner'}},'$ref':'schema-relative-uri-defs2.json'}",
          "[{'foo':{'bar':'a'},'bar':'a'}]",
          "[{'foo':{'bar':1},'bar':'a'},{'foo':{'bar':'a'},'bar':1}]" },
        { "by address through an unrelated $id",
          "{'$ref':'http://localhost:1234/"
          "nested-absolute-ref-to-string.json','$defs':{'bar':{'$id':"
          "'http://localhost:1234/the-nested-id.json','type':'string'},'baz':{'$id':"
          "'http://localhost:1234/"
          "nested-absolute-ref-to-string.json','$ref':'the-nested-id.json'}}}",
          "['foo']", "[12]" },
        { "nearest base, not just of the parent",
          "{'$id':'http://example.com/a.json','$defs':{'x':{'$id':'http://example.com/b/"
          "c.json','not':{'$defs':{'y':{'$id':'d.json',"
          "'type':'number'}}}}},'allOf':[{'$ref':'http://example.com/b/d.json'}]}",
          "[1]", "['a']" },
        { "$id before $ref",
          "{'$id':'https://example.com/ref-and-id1/"
          "base.json','$ref':'int.json','$defs':{'bigint':{'$id':"
          "'/ref-and-id1/int.json','maximum':10},'smallint':{'$id':'/"
          "ref-and-id1-int.json','maximum':2}}}",
          "[5]", "[50]" },
        { "$anchor before $ref",
          "{'$id':'https://example.com/ref-and-id2/base.json','$ref':'#bigint','$defs':{'bigint':"
          "{'$anchor':'bigint','maximum':10},'smallint':{'$id':'https://example.com/ref-and-id2/"
          "','$anchor':'bigint','maximum':2}}}",
          "[5]", "[50]" },
        { "a simple URN",
          "{'$id':'urn:uuid:deadbeef-1234-ffff-ffff-4321feebdaed','minProperties':1,'properties':{'"
          "foo':{'$ref':"
          "'urn:uuid:deadbeef-1234-ffff-ffff-4321feebdaed'}}}",
          "[{'foo':{'bar':1}},{'foo':1}]", "[{},{'foo':{}}]" },
        { "a URN with a pointer",
          "{'$id':'urn:uuid:deadbeef-1234-00ff-ff00-4321feebdaed','properties':{'foo':{'$ref':'#/"
          "$defs/bar'}},"
          "'$defs':{'bar':{'type':'string'}}}",
          "[{'foo':'bar'}]", "[{'foo':12}]" },
        { "a URN with an r-component",
          "{'$id':'urn:example:foo-bar-baz-qux?+CCResolve:cc=uk','properties':{'foo':{'$ref':'#/"
          "$defs/bar'}},"
          "'$defs':{'bar':{'type':'string'}}}",
          "[{'foo':'bar'}]", "[{'foo':12}]" },
        { "a URN with a q-component",
          "{'$id':'urn:example:weather?=op=map&lat=39.56&lon=-104.85','properties':{'foo':{'$ref':'"
          "#/$defs/bar'}},"
          "'$defs':{'bar':{'type':'string'}}}",
          "[{'foo':'bar'}]", "[{'foo':12}]" },
        { "a URN, pointer in the reference",
          "{'$id':'urn:uuid:deadbeef-1234-0000-0000-4321feebdaed','properties':{'foo':{'$ref':"
          "'urn:uuid:deadbeef-1234-0000-0000-4321feebdaed#/$defs/"
          "bar'}},'$defs':{'bar':{'type':'string'}}}",
          "[{'foo':'bar'}]", "[{'foo':12}]" },
        { "a URN, anchor in the reference",
          "{'$id':'urn:uuid:deadbeef-1234-ff00-00ff-4321feebdaed','properties':{'foo':{'$ref':"
          "'urn:uuid:deadbeef-1234-ff00-00ff-4321feebdaed#something'}},'$defs':{'bar':{'$anchor':'"
          "something','type':'string'}}}",
          "[{'foo':'bar'}]", "[{'foo':12}]" },
        { "a URN below",
          "{'$ref':'urn:uuid:deadbeef-4321-ffff-ffff-1234feebdaed','$defs':{'foo':{'$id':"
          "'urn:uuid:deadbeef-4321-ffff-ffff-1234feebdaed','$defs':{'bar':{'type':'string'}},'$ref'"
          ":'#/$defs/bar'}}}",
          "['bar']", "[12]" },
        { "to if",
          "{'$ref':'http://example.com/ref/if','if':{'$id':'http://example.com/ref/"
          "if','type':'integer'}}",
          "[12]", "['foo']" },
        { "to then",
          "{'$ref':'http://example.com/ref/then','then':{'$id':'http://example.com/ref/"
          "then','type':'integer'}}",
          "[12]", "['foo']" },
        { "to else",
          "{'$ref':'http://example.com/ref/else','else':{'$id':'http://example.com/ref/"
          "else','type':'integer'}}",
          "[12]", "['foo']" },
        { "by absolute path",
          "{'$id':'http://example.com/ref/absref.json','$defs':{'a':{'$id':'http://example.com/ref/"
          "absref/foobar.json','type':'number'},"
          "'b':{'$id':'http://example.com/absref/foobar.json','type':'string'}},'$ref':'/absref/"
          "foobar.json'}",
          "['foo']", "[12]" },
        { "by file: address",
          "{'$id':'file:///folder/file.json','$defs':{'foo':{'type':'number'}},'$ref':'#/$defs/"
          "foo'}",
          "[1]", "['a']" },
        { "by file: address with a drive",
          "{'$id':'file:///c:/folder/file.json','$defs':{'foo':{'type':'number'}},'$ref':'#/$defs/"
          "foo'}",
          "[1]", "['a']" },
        { "empty tokens",
          "{'$defs':{'':{'$defs':{'':{'type':'number'}}}},'allOf':[{'$ref':'#/$defs//$defs/'}]}",
          "[1]", "['a']" },
        { "to an unknown keyword",
          "{'unknown-keyword':{'type':'integer'},'properties':{'bar':{'$ref':'#/"
          "unknown-keyword'}}}",
          "[{'bar':3}]", "[{'bar':true}]" },
        { "to an unknown keyword below",
          "{'properties':{'foo':{'unknown-keyword':{'type':'integer'}},'bar':{'$ref':'#/properties/"
          "foo/unknown-keyword'}}}",
          "[{'bar':3}]", "[{'bar':true}]" },
        { "to an example", "{'$id':'/base','examples':[{'type':'string'}],'$ref':'#/examples/0'}",
          "['a']", "[42]" },
        { "to definitions of old",
          "{'definitions':{'a':{'type':'integer'}},'$ref':'#/definitions/a'}", "[1]", "['a']" },
        { "with dots",
          "{'$id':'http://x/a/b/c.json','$ref':'../d/./e.json','$defs':{'e':{'$id':'http://x/a/d/"
          "e.json','const':1}}}",
          "[1]", "[2]" },
        { "above the root",
          "{'$id':'http://x/a/b','$ref':'../../../c','$defs':{'e':{'$id':'http://x/c','const':1}}}",
          "[1]", "[2]" },
        { "with another host",
          "{'$id':'http://x/a','$ref':'//y/b?q','$defs':{'e':{'$id':'http://y/b?q','const':1}}}",
          "[1]", "[2]" },
        { "with a query",
          "{'$id':'http://x/a','$ref':'?q','$defs':{'e':{'$id':'http://x/a?q','const':1}}}", "[1]",
          "[2]" },
        { "on a host without path",
          "{'$id':'http://x','$ref':'b','$defs':{'e':{'$id':'http://x/b','const':1}}}", "[1]",
          "[2]" },
        { "without a base", "{'$ref':'b/c','$defs':{'e':{'$id':'b/c','const':1}}}", "[1]", "[2]" },
        { "a loop that ends",
          "{'$ref':'#/$defs/a','$defs':{'a':{'properties':{'n':{'$ref':'#/$defs/"
          "b'}}},'b':{'$ref':'#/$defs/a'}}}",
          "[{'n':{'n':{}}},{}]", NULL },
    };
    CHECK_CASES(cases);
}

static void test_identifiers_and_anchors(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "anchor", "{'$ref':'#foo','$defs':{'A':{'$anchor':'foo','type':'integer'}}}", "[1]",
          "['a']" },
        { "anchor by address",
          "{'$ref':'http://localhost:1234/bar#foo','$defs':{'A':{'$id':'http://localhost:1234/"
          "bar','$anchor':'foo','type':'integer'}}}",
          "[1]", "['a']" },
        { "anchor with a base",
          "{'$id':'http://localhost:1234/root','$ref':'http://localhost:1234/"
          "nested.json#foo','$defs':{'A':{'$id':'nested.json',"
          "'$defs':{'B':{'$anchor':'foo','type':'integer'}}}}}",
          "[1]", "['a']" },
        { "the same anchor in two resources",
          "{'$id':'http://localhost:1234/"
          "foobar','$defs':{'A':{'$id':'child1','allOf':[{'$id':'child2','$anchor':'my_anchor','"
          "type':"
          "'number'},{'$anchor':'my_anchor','type':'string'}]}},'$ref':'child1#my_anchor'}",
          "['a']", "[1]" },
        { "an anchor in an enum is data",
          "{'$defs':{'anchor_in_enum':{'enum':[{'$anchor':'my_anchor','type':'null'}]},'real':{'$"
          "anchor':'my_anchor','type':'string'},"
          "'zzz':{'const':{'$anchor':'my_anchor','type':'null'}}},'anyOf':[{'$ref':'#/$defs/"
          "anchor_in_enum'},{'$ref':'#my_anchor'}]}",
          "[{'$anchor':'my_anchor','type':'null'},'a string']", "[1]" },
        { "an $id in an enum is data",
          "{'$defs':{'id_in_enum':{'enum':[{'$id':'https://localhost:1234/id/"
          "my_identifier.json','type':'null'}]},"
          "'real':{'$id':'https://localhost:1234/id/"
          "my_identifier.json','type':'string'},'zzz':{'const':{'$id':"
          "'https://localhost:1234/id/my_identifier.json','type':'null'}}},'anyOf':[{'$ref':'#/"
          "$defs/id_in_enum'},"
          "{'$ref':'https://localhost:1234/id/my_identifier.json'}]}",
          "[{'$id':'https://localhost:1234/id/my_identifier.json','type':'null'},'a string']",
          "[1]" },
        { "an $id below an unknown keyword is data",
          "{'$defs':{'id0':{'not':{'array_of_schemas':[{'$id':'https://localhost:1234/"
          "my_identifier.json','type':'null'}]}},"
          "'real':{'$id':'https://localhost:1234/"
          "my_identifier.json','type':'string'},'id1':{'not':{'object_of_schemas':{'foo':"
          "{'$id':'https://localhost:1234/"
          "my_identifier.json','type':'integer'}}}}},'anyOf':[{'$ref':'#/$defs/id0'},"
          "{'$ref':'#/$defs/id1'},{'$ref':'https://localhost:1234/my_identifier.json'}]}",
          "['a string']", "[null,1]" },
        { "an object that is no schema with an $id",
          "{'$defs':{'const_not_id':{'const':{'$id':'not_a_real_id'}}},'if':{'const':'skip "
          "not_a_real_id'},'then':true,'else':"
          "{'$ref':'#/$defs/const_not_id'}}",
          "['skip not_a_real_id',{'$id':'not_a_real_id'}]", "[1]" },
        { "properties named $id and $anchor",
          "{'properties':{'$id':{'type':'string'},'$anchor':{'type':'integer'}}}",
          "[{'$id':'a','$anchor':1}]", "[{'$id':1},{'$anchor':'a'}]" },
        { "an empty fragment in $id",
          "{'$id':'http://x/a#','$ref':'b','$defs':{'b':{'$id':'http://x/b#','const':1}}}", "[1]",
          "[2]" },
        { "$ref to $dynamicAnchor",
          "{'$ref':'#foo','$defs':{'A':{'$dynamicAnchor':'foo','type':'integer'}}}", "[1]",
          "['a']" },
    };
    CHECK_CASES(cases);
}

#define ITEMS "'$defs':{'foo':{'$dynamicAnchor':'items','type':'string'},"

static void test_dynamic_references(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "to $dynamicAnchor here",
          "{'$id':'https://x/a','type':'array','items':{'$dynamicRef':'#items'},'$defs':{'foo':"
          "{'$dynamicAnchor':'items','type':'string'}}}",
          "[['foo','bar']]", "[['foo',42]]" },
        { "to $anchor here",
          "{'$id':'https://x/b','type':'array','items':{'$dynamicRef':'#items'},'$defs':{'foo':"
          "{'$anchor':'items','type':'string'}}}",
          "[['foo','bar']]", "[['foo',42]]" },
        { "the first one in scope",
          "{'$id':'https://x/typical/root','$ref':'list'," ITEMS
          "'list':{'$id':'list','type':'array','items':{'$dynamicRef':'#items'},"
          "'$defs':{'items':{'$dynamicAnchor':'items'}}}}}",
          "[['foo','bar']]", "[['foo',42]]" },
        { "without anchor in fragment: a pointer",
          "{'$id':'https://x/without-anchor/root','$ref':'list'," ITEMS
          "'list':{'$id':'list','type':'array','items':"
          "{'$dynamicRef':'#/$defs/"
          "items'},'$defs':{'items':{'$dynamicAnchor':'items','type':'number'}}}}}",
          "[[24,42]]", "[['foo',42]]" },
        { "intermediate scopes do not matter",
          "{'$id':'https://x/intermediate/root','$ref':'intermediate-scope'," ITEMS
          "'intermediate-scope':{'$id':'intermediate-scope',"
          "'$ref':'list'},'list':{'$id':'list','type':'array','items':{'$dynamicRef':'#items'},'$"
          "defs':{'items':"
          "{'$dynamicAnchor':'items'}}}}}",
          "[['foo','bar']]", "[['foo',42]]" },
        { "an $anchor of that name does not matter",
          "{'$id':'https://x/ignores-anchor/"
          "root','$ref':'list','$defs':{'foo':{'$anchor':'items','type':'string'},'list':{'$id':'"
          "list',"
          "'type':'array','items':{'$dynamicRef':'#items'},'$defs':{'items':{'$dynamicAnchor':'"
          "items'}}}}}",
          "[['foo',42]]", NULL },
        { "without $dynamicAnchor here it is a $ref",
          "{'$id':'https://x/no-bookend/root','$ref':'list'," ITEMS
          "'list':{'$id':'list','type':'array','items':{'$dynamicRef':'#items'},"
          "'$defs':{'items':{'$anchor':'items'}}}}}",
          "[['foo',42]]", NULL },
        { "a $dynamicAnchor of another name here",
          "{'$id':'https://x/unmatched/root','$ref':'list'," ITEMS
          "'list':{'$id':'list','type':'array','items':{'$dynamicRef':'#items'},"
          "'$defs':{'items':{'$anchor':'items','$dynamicAnchor':'foo'}}}}}",
          "[['foo',42]]", NULL },
        { "relative, resolved first to what has it",
          "{'$id':'https://x/relative/"
          "root','$dynamicAnchor':'meta','type':'object','properties':{'foo':{'const':'pass'}},'$"
          "ref':'extended',"
          "'$defs':{'extended':{'$id':'extended','$dynamicAnchor':'meta','type':'object','"
          "properties':{'bar':{'$ref':'bar'}}},"
          "'bar':{'$id':'bar','type':'object','properties':{'baz':{'$dynamicRef':'extended#meta'}}}"
          "}}",
          "[{'foo':'pass','bar':{'baz':{'foo':'pass'}}}]",
          "[{'foo':'pass','bar':{'baz':{'foo':'fail'}}}]" },
        { "relative, resolved first to what has not",
          "{'$id':'https://x/relative2/"
          "root','$dynamicAnchor':'meta','type':'object','properties':{'foo':{'const':'pass'}},'$"
          "ref':'extended',"
          "'$defs':{'extended':{'$id':'extended','$anchor':'meta','type':'object','properties':{'"
          "bar':{'$ref':'bar'}}},"
          "'bar':{'$id':'bar','type':'object','properties':{'baz':{'$dynamicRef':'extended#meta'}}}"
          "}}",
          "[{'foo':'pass','bar':{'baz':{'foo':'pass'}}},{'foo':'pass','bar':{'baz':{'foo':'fail'}}}"
          "]",
          NULL },
        { "several paths",
          "{'$id':'https://x/paths/"
          "main','if':{'properties':{'kindOfList':{'const':'numbers'}},'required':['kindOfList']},"
          "'then':{'$ref':'numberList'},'else':{'$ref':'stringList'},'$defs':{'genericList':{'$id':"
          "'genericList','properties':{'list':"
          "{'items':{'$dynamicRef':'#itemType'}}},'$defs':{'defaultItemType':{'$dynamicAnchor':'"
          "itemType'}}},'numberList':{'$id':"
          "'numberList','$defs':{'itemType':{'$dynamicAnchor':'itemType','type':'number'}},'$ref':'"
          "genericList'},'stringList':{'$id':"
          "'stringList','$defs':{'itemType':{'$dynamicAnchor':'itemType','type':'string'}},'$ref':'"
          "genericList'}}}",
          "[{'kindOfList':'numbers','list':[1.1]},{'kindOfList':'strings','list':['foo']}]",
          "[{'kindOfList':'numbers','list':['foo']},{'kindOfList':'strings','list':[1.1]}]" },
        { "a scope that was left",
          "{'$id':'https://x/leaving/"
          "main','if':{'$id':'first_scope','$defs':{'thingy':{'$dynamicAnchor':'thingy','type':'"
          "number'}}},"
          "'then':{'$id':'second_scope','$ref':'start','$defs':{'thingy':{'$dynamicAnchor':'thingy'"
          ",'type':'null'}}},'$defs':{'start':"
          "{'$id':'start','$dynamicRef':'inner_scope#thingy'},'thingy':{'$id':'inner_scope','$"
          "dynamicAnchor':'thingy','type':'string'}}}",
          "[null]", "['a string',42]" },
        { "a strict tree",
          "{'$id':'http://x/"
          "strict-tree.json','$dynamicAnchor':'node','$ref':'tree.json','unevaluatedProperties':"
          "false,'$defs':{'t':"
          "{'$id':'http://x/"
          "tree.json','$dynamicAnchor':'node','type':'object','properties':{'data':true,'children':"
          "{'type':'array',"
          "'items':{'$dynamicRef':'#node'}}}}}}",
          "[{'children':[{'data':1}]},{'data':1}]", "[{'children':[{'daat':1}]},{'daat':1}]" },
        { "the order does not matter",
          "{'$id':'http://x/"
          "strict-extendible.json','$ref':'extendible.json','$defs':{'elements':{'$dynamicAnchor':'"
          "elements','properties':"
          "{'a':true},'required':['a'],'additionalProperties':false},'e':{'$id':'extendible.json','"
          "type':'object','properties':"
          "{'elements':{'type':'array','items':{'$dynamicRef':'#elements'}}},'required':['elements'"
          "],'additionalProperties':false,"
          "'$defs':{'elements':{'$dynamicAnchor':'elements'}}}}}",
          "[{'elements':[{'a':1}]}]", "[{'a':true},{'elements':[{'b':1}]}]" },
        { "to a boolean",
          "{'$defs':{'true':true,'false':false},'properties':{'true':{'$dynamicRef':'#/$defs/"
          "true'},'false':{'$dynamicRef':'#/$defs/false'}}}",
          "[{'true':1}]", "[{'false':1}]" },
        { "over intermediate resources, direct",
          "{'$id':'https://x/skips/"
          "main','type':'object','properties':{'bar-item':{'$ref':'item'}},'$defs':{'bar':{'$id':'"
          "bar','type':'array',"
          "'items':{'$ref':'item'},'$defs':{'item':{'$id':'item','type':'object','properties':{'"
          "content':{'$dynamicRef':'#content'}},"
          "'$defs':{'defaultContent':{'$dynamicAnchor':'content','type':'integer'}}},'content':{'$"
          "dynamicAnchor':'content','type':'string'}}}}}",
          "[{'bar-item':{'content':42}}]", "[{'bar-item':{'content':'value'}}]" },
        { "over intermediate resources, by pointer",
          "{'$id':'https://x/skips2/main','type':'object','properties':{'bar-item':{'$ref':'bar#/"
          "$defs/item'}},'$defs':{'bar':{'$id':'bar',"
          "'type':'array','items':{'$ref':'item'},'$defs':{'item':{'$id':'item','type':'object','"
          "properties':{'content':"
          "{'$dynamicRef':'#content'}},'$defs':{'defaultContent':{'$dynamicAnchor':'content','type'"
          ":'integer'}}},'content':"
          "{'$dynamicAnchor':'content','type':'string'}}}}}",
          "[{'bar-item':{'content':42}}]", "[{'bar-item':{'content':'value'}}]" },
        { "a detached anchor",
          "{'$id':'https://x/detached','$ref':'#/$defs/"
          "foo','$defs':{'foo':{'$dynamicRef':'#detached'},'detached':"
          "{'$dynamicAnchor':'detached','type':'integer'}}}",
          "[1]", "['a']" },
        { "scopes count even when they are only passed",
          "{'$id':'https://x/passed/base','$ref':'first#/$defs/"
          "stuff','$defs':{'first':{'$id':'first','$defs':{'stuff':{'$ref':'second#/$defs/stuff'},"
          "'length':{'$dynamicAnchor':'length','maxLength':1}}},'second':{'$id':'second','$defs':{'"
          "stuff':{'$ref':'third#/$defs/stuff'},"
          "'length':{'$dynamicAnchor':'length','maxLength':2}}},'third':{'$id':'third','$defs':{'"
          "stuff':{'$dynamicRef':'#length'},'length':"
          "{'$dynamicAnchor':'length','maxLength':3}}}}}",
          "['a']", "['hello','hi']" },
        { "the meta-schema extended",
          "{'$id':'http://x/meta','$dynamicAnchor':'meta','allOf':[{'$ref':'https://"
          "json-schema.org/draft/2020-12/schema'}],"
          "'properties':{'x-note':{'type':'string'}}}",
          "[{'x-note':'a','items':{'x-note':'b'}}]",
          "[{'x-note':1},{'items':{'x-note':1}},{'type':1}]" },
    };
    CHECK_CASES(cases);
}

static void test_unevaluated_items(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "true", "{'unevaluatedItems':true}", "[[],['foo']]", NULL },
        { "false", "{'unevaluatedItems':false}", "[[],{'a':1},1]", "[['foo']]" },
        { "schema", "{'unevaluatedItems':{'type':'string'}}", "[[],['foo']]", "[[42]]" },
        { "with items", "{'items':{'type':'string'},'unevaluatedItems':false}", "[['foo','bar']]",
          NULL },
        { "with prefixItems", "{'prefixItems':[{'type':'string'}],'unevaluatedItems':false}",
          "[['foo']]", "[['foo','bar']]" },
        { "with prefixItems and items",
          "{'prefixItems':[{'type':'string'}],'items':true,'unevaluatedItems':false}",
          "[['foo',42]]", NULL },
        { "items and unevaluated",
          "{'items':{'type':'number'},'unevaluatedItems':{'type':'string'}}", "[[5,6,7]]",
          "[['foo'],[1,'a']]" },
        { "nested prefixItems",
          "{'prefixItems':[{'type':'string'}],'allOf':[{'prefixItems':[true,{'type':'number'}]}],'"
          "unevaluatedItems':false}",
          "[['foo',42]]", "[['foo',42,true]]" },
        { "nested items",
          "{'unevaluatedItems':{'type':'boolean'},'anyOf':[{'items':{'type':'string'}},true]}",
          "[[true,false],['yes','no']]", "[['yes',false]]" },
        { "nested prefixItems and items",
          "{'allOf':[{'prefixItems':[{'type':'string'}],'items':true}],'unevaluatedItems':false}",
          "[['foo'],['foo',42,true]]", NULL },
        { "nested unevaluatedItems",
          "{'allOf':[{'prefixItems':[{'type':'string'}]},{'unevaluatedItems':true}],'"
          "unevaluatedItems':false}",
          "[['foo'],['foo',42,true]]", NULL },
        { "anyOf",
          "{'prefixItems':[{'const':'foo'}],'anyOf':[{'prefixItems':[true,{'const':'bar'}]},{'"
          "prefixItems':[true,true,"
          "{'const':'baz'}]}],'unevaluatedItems':false}",
          "[['foo','bar'],['foo','bar','baz']]", "[['foo','bar',42],['foo','bar','baz',42]]" },
        { "oneOf",
          "{'prefixItems':[{'const':'foo'}],'oneOf':[{'prefixItems':[true,{'const':'bar'}]},{'"
          "prefixItems':[true,"
          "{'const':'baz'}]}],'unevaluatedItems':false}",
          "[['foo','bar']]", "[['foo','bar',42]]" },
        { "not",
          "{'prefixItems':[{'const':'foo'}],'not':{'not':{'prefixItems':[true,{'const':'bar'}]}},'"
          "unevaluatedItems':false}",
          NULL, "[['foo','bar']]" },
        { "if, then, else",
          "{'prefixItems':[{'const':'foo'}],'if':{'prefixItems':[true,{'const':'bar'}]},'then':{'"
          "prefixItems':[true,true,"
          "{'const':'then'}]},'else':{'prefixItems':[true,true,true,{'const':'else'}]},'"
          "unevaluatedItems':false}",
          "[['foo','bar','then'],['foo',42,42,'else']]",
          "[['foo','bar','then','else'],['foo',42,42,'else',42]]" },
        { "boolean schemas", "{'allOf':[true],'unevaluatedItems':false}", "[[]]", "[['foo']]" },
        { "$ref",
          "{'$ref':'#/$defs/"
          "bar','prefixItems':[{'type':'string'}],'unevaluatedItems':false,'$defs':{'bar':{'"
          "prefixItems':[true,"
          "{'type':'string'}]}}}",
          "[['foo','bar']]", "[['foo','bar','baz']]" },
        { "before $ref",
          "{'unevaluatedItems':false,'prefixItems':[{'type':'string'}],'$ref':'#/$defs/"
          "bar','$defs':{'bar':{'prefixItems':[true,"
          "{'type':'string'}]}}}",
          "[['foo','bar']]", "[['foo','bar','baz']]" },
        { "$dynamicRef",
          "{'$id':'https://x/unevaluated/derived','$ref':'./"
          "baseSchema','$defs':{'derived':{'$dynamicAnchor':'addons','prefixItems':"
          "[true,{'type':'string'}]},'baseSchema':{'$id':'./"
          "baseSchema','unevaluatedItems':false,'type':'array','prefixItems':[{'type':'string'}],"
          "'$dynamicRef':'#addons','$defs':{'defaultAddons':{'$dynamicAnchor':'addons'}}}}}",
          "[['foo','bar']]", "[['foo','bar','baz']]" },
        { "cousins cannot see", "{'allOf':[{'prefixItems':[true]},{'unevaluatedItems':false}]}",
          "[[]]", "[[1]]" },
        { "below a property",
          "{'properties':{'foo':{'prefixItems':[{'type':'string'}],'unevaluatedItems':false}},'"
          "anyOf':[{'properties':{'foo':"
          "{'prefixItems':[true,{'type':'string'}]}}}]}",
          "[{'foo':['test']}]", "[{'foo':['test','test']}]" },
        { "contains beside",
          "{'prefixItems':[true],'contains':{'type':'string'},'unevaluatedItems':false}",
          "[[1,'foo']]", "[[1,2],[1,2,'foo']]" },
        { "several contains below",
          "{'allOf':[{'contains':{'multipleOf':2}},{'contains':{'multipleOf':3}}],'"
          "unevaluatedItems':{'multipleOf':5}}",
          "[[2,3,4,5,6]]", "[[2,3,4,7,8]]" },
        { "contains and if",
          "{'if':{'contains':{'const':'a'}},'then':{'if':{'contains':{'const':'b'}},'then':{'if':{'"
          "contains':{'const':'c'}}}},"
          "'unevaluatedItems':false}",
          "[[],['a','a'],['a','b','a','b','a'],['c','a','c','c','b','a']]",
          "[['b','b'],['c','c'],['c','b','c','b','c'],['c','a','c','a','c']]" },
        { "contains with minContains 0",
          "{'contains':{'type':'string'},'minContains':0,'unevaluatedItems':false}", "[[],['foo']]",
          "[[0],['foo',0],[0,'foo']]" },
        { "if alone", "{'if':{'prefixItems':[{'const':'a'}]},'unevaluatedItems':false}", "[['a']]",
          "[['b']]" },
        { "null", "{'unevaluatedItems':{'type':'null'}}", "[[null]]", "[[0]]" },
        { "below another's",
          "{'unevaluatedItems':{'prefixItems':[{'type':'string'}],'unevaluatedItems':false}}",
          "[[['a'],[]]]", "[[['a',1]]]" },
        { "beyond 64", "{'contains':{'const':1},'unevaluatedItems':{'const':2}}",
          "[[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
          "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,1]]",
          "[[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
          "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,3,1]]" },
    };
    CHECK_CASES(cases);
}

#define FOO "'properties':{'foo':{'type':'string'}}"

static void test_unevaluated_properties(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "true", "{'unevaluatedProperties':true}", "[{},{'foo':'foo'}]", NULL },
        { "schema", "{'unevaluatedProperties':{'type':'string','minLength':3}}",
          "[{},{'foo':'foo'}]", "[{'foo':'fo'}]" },
        { "false", "{'unevaluatedProperties':false}", "[{},true,123,1.0,[],'foo',null]",
          "[{'foo':'foo'}]" },
        { "properties", "{" FOO ",'unevaluatedProperties':false}", "[{'foo':'foo'}]",
          "[{'foo':'foo','bar':'bar'}]" },
        { "patternProperties",
          "{'patternProperties':{'^foo':{'type':'string'}},'unevaluatedProperties':false}",
          "[{'foo':'foo'}]", "[{'foo':'foo','bar':'bar'}]" },
        { "additionalProperties",
          "{" FOO ",'additionalProperties':true,'unevaluatedProperties':false}",
          "[{'foo':'foo'},{'foo':'foo','bar':1}]", NULL },
        { "additionalProperties schema",
          "{" FOO ",'additionalProperties':{'type':'string'},'unevaluatedProperties':false}",
          "[{'foo':'foo','bar':'bar'}]", "[{'foo':'foo','bar':1}]" },
        { "nested properties",
          "{" FOO
          ",'allOf':[{'properties':{'bar':{'type':'string'}}}],'unevaluatedProperties':false}",
          "[{'foo':'foo','bar':'bar'}]", "[{'foo':'foo','bar':'bar','baz':'baz'}]" },
        { "nested patternProperties",
          "{" FOO ",'allOf':[{'patternProperties':{'^bar':{'type':'string'}}}],'"
          "unevaluatedProperties':false}",
          "[{'foo':'foo','bar':'bar'}]", "[{'foo':'foo','bar':'bar','baz':'baz'}]" },
        { "nested additionalProperties",
          "{" FOO ",'allOf':[{'additionalProperties':true}],'unevaluatedProperties':false}",
          "[{'foo':'foo'},{'foo':'foo','bar':'bar'}]", NULL },
        { "nested unevaluatedProperties",
          "{" FOO ",'allOf':[{'unevaluatedProperties':true}],'unevaluatedProperties':{'type':'"
          "string','maxLength':2}}",
          "[{'foo':'foo'},{'foo':'foo','bar':'bar'}]", NULL },
        { "anyOf",
          "{" FOO ",'anyOf':[{'properties':{'bar':{'const':'bar'}},'required':['bar']},{'"
          "properties':{'baz':{'const':'baz'}},'required':['baz']},"
          "{'properties':{'quux':{'const':'quux'}},'required':['quux']}],'unevaluatedProperties':"
          "false}",
          "[{'foo':'foo','bar':'bar'},{'foo':'foo','bar':'bar','baz':'baz'}]",
          "[{'foo':'foo','bar':'bar','baz':'not-baz'},"
          "{'foo':'foo','bar':'bar','baz':'baz','quux':'not-quux'}]" },
        { "oneOf",
          "{" FOO ",'oneOf':[{'properties':{'bar':{'const':'bar'}},'required':['bar']},{'"
          "properties':{'baz':{'const':'baz'}},'required':['baz']}],"
          "'unevaluatedProperties':false}",
          "[{'foo':'foo','bar':'bar'}]", "[{'foo':'foo','bar':'bar','quux':'quux'}]" },
        { "not",
          "{" FOO ",'not':{'not':{'properties':{'bar':{'const':'bar'}},'required':['bar']}},'"
          "unevaluatedProperties':false}",
          NULL, "[{'foo':'foo','bar':'bar'}]" },
        { "if, then, else",
          "{'if':{'properties':{'foo':{'const':'then'}},'required':['foo']},'then':{'properties':{'"
          "bar':{'type':'string'}},"
          "'required':['bar']},'else':{'properties':{'baz':{'type':'string'}},'required':['baz']},'"
          "unevaluatedProperties':false}",
          "[{'foo':'then','bar':'bar'},{'baz':'baz'}]",
          "[{'foo':'then','bar':'bar','baz':'baz'},{'foo':'else','baz':'baz'}]" },
        { "if and else",
          "{'if':{'properties':{'foo':{'const':'then'}},'required':['foo']},'else':{'properties':{'"
          "baz':{'type':'string'}},"
          "'required':['baz']},'unevaluatedProperties':false}",
          "[{'baz':'baz'},{'foo':'then'}]",
          "[{'foo':'else','baz':'baz'},{'foo':'then','bar':'bar'}]" },
        { "dependentSchemas",
          "{" FOO ",'dependentSchemas':{'foo':{'properties':{'bar':{'const':'bar'}},'required':['"
          "bar']}},'unevaluatedProperties':false}",
          "[{'foo':'foo','bar':'bar'}]", "[{'bar':'bar'}]" },
        { "boolean schemas", "{" FOO ",'allOf':[true],'unevaluatedProperties':false}",
          "[{'foo':'foo'}]", "[{'bar':'bar'}]" },
        { "$ref",
          "{'$ref':'#/$defs/bar'," FOO ",'unevaluatedProperties':false,'$defs':{'bar':{'properties'"
          ":{'bar':{'type':'string'}}}}}",
          "[{'foo':'foo','bar':'bar'}]", "[{'foo':'foo','bar':'bar','baz':'baz'}]" },
        { "$dynamicRef",
          "{'$id':'https://x/up/derived','$ref':'./"
          "baseSchema','$defs':{'derived':{'$dynamicAnchor':'addons','properties':"
          "{'bar':{'type':'string'}}},'baseSchema':{'$id':'./"
          "baseSchema','unevaluatedProperties':false," FOO ",'$dynamicRef':'#addons','$defs':"
          "{'defaultAddons':{'$dynamicAnchor':'addons'}}}}}",
          "[{'foo':'foo','bar':'bar'}]", "[{'foo':'foo','bar':'bar','baz':'baz'}]" },
        { "cousins cannot see",
          "{'allOf':[{'properties':{'foo':true}},{'unevaluatedProperties':false}]}", "[{}]",
          "[{'foo':1}]" },
        { "cousins cannot see, the other way",
          "{'allOf':[{'unevaluatedProperties':false},{'properties':{'foo':true}}]}", "[{}]",
          "[{'foo':1}]" },
        { "outer false, inner true",
          "{" FOO ",'allOf':[{'unevaluatedProperties':true}],'unevaluatedProperties':false}",
          "[{'foo':'foo'},{'foo':'foo','bar':'bar'}]", NULL },
        { "outer true, inner false",
          "{" FOO ",'allOf':[{'unevaluatedProperties':false}],'unevaluatedProperties':true}", NULL,
          "[{'foo':'foo'},{'foo':'foo','bar':'bar'}]" },
        { "cousin true, then false",
          "{'allOf':[{" FOO ",'unevaluatedProperties':true},{'unevaluatedProperties':false}]}",
          NULL, "[{'foo':'foo'},{'foo':'foo','bar':'bar'}]" },
        { "uncles cannot be seen",
          "{'properties':{'foo':{'type':'object','properties':{'bar':{'type':'string'}},'"
          "unevaluatedProperties':false}},"
          "'anyOf':[{'properties':{'foo':{'properties':{'faz':{'type':'string'}}}}}]}",
          "[{'foo':{'bar':'test'}}]", "[{'foo':{'bar':'test','faz':'test'}}]" },
        { "in-place applicators, allOf outside",
          "{'allOf':[{'properties':{'foo':true},'unevaluatedProperties':false}],'anyOf':[{'"
          "properties':"
          "{'bar':true}}]}",
          "[{'foo':1}]", "[{'foo':1,'bar':1},{'bar':1}]" },
        { "in-place applicators, anyOf outside",
          "{'allOf':[{'properties':{'foo':true}}],'anyOf':[{'properties':{'bar':true},"
          "'unevaluatedProperties':false}]}",
          "[{'bar':1}]", "[{'foo':1,'bar':1},{'foo':1}]" },
        { "one cyclic reference", "{'properties':{'x':{'$ref':'#'}},'unevaluatedProperties':false}",
          "[{},{'x':{}},{'x':{'x':{}}}]", "[{'x':{'y':{}}},{'x':{'x':{'y':{}}}}]" },
        { "ref within anyOf within ref",
          "{'$ref':'#/$defs/"
          "one','unevaluatedProperties':false,'$defs':{'one':{'properties':{'a':true}},"
          "'two':{'required':['x'],'properties':{'x':true}}}}",
          "[{'a':1}]", "[{'x':1},{'a':1,'x':1}]" },
        { "dynamic evaluation in nested refs",
          "{'$defs':{'one':{'oneOf':[{'$ref':'#/$defs/"
          "two'},{'required':['b'],'properties':{'b':true}},{'required':['xx'],'patternProperties':"
          "{'x':true}},{'required':['all'],'unevaluatedProperties':true}]},'two':{'oneOf':[{'"
          "required':['c'],'properties':{'c':true}},"
          "{'required':['d'],'properties':{'d':true}}]}},'oneOf':[{'$ref':'#/$defs/"
          "one'},{'required':['a'],'properties':{'a':true}}],"
          "'unevaluatedProperties':false}",
          "[{'a':1},{'b':1},{'c':1},{'d':1},{'xx':1},{'xx':1,'foox':1},{'all':1},{'all':1,'foo':1}"
          "]",
          "[{},{'a':1,'b':1},{'a':1,'c':1},{'b':1,'c':1},{'c':1,'d':1},{'xx':1,'foo':1},{'xx':1,'a'"
          ":1},{'xx':1,'b':1},{'all':1,'a':1}]" },
        { "propertyNames evaluates nothing",
          "{'propertyNames':{'maxLength':9},'unevaluatedProperties':{'type':'number'}}",
          "[{'a':1}]", "[{'a':'b'}]" },
        { "dependentSchemas with an unevaluated base",
          "{'properties':{'foo2':{}},'dependentSchemas':{'foo':{},'foo2':{'properties':{'bar':{}}}}"
          ",'unevaluatedProperties':false}",
          "[{'foo2':''},{'foo2':'','bar':''}]", "[{'foo':''},{'bar':''}]" },
        { "of a failed branch nothing counts",
          "{'anyOf':[{'properties':{'foo':{'const':1}}},{'properties':{'bar':{'const':1}}}],'"
          "unevaluatedProperties':false}",
          "[{'foo':1},{'bar':1}]", "[{'foo':2,'bar':1},{'foo':2}]" },
        { "null", "{'unevaluatedProperties':{'type':'null'}}", "[{'foo':null}]", "[{'foo':0}]" },
    };
    CHECK_CASES(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_identifiers_and_anchors),
        cmocka_unit_test(test_dynamic_references),
        cmocka_unit_test(test_unevaluated_items),
        cmocka_unit_test(test_unevaluated_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
