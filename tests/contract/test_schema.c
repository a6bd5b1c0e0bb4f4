/* tests/contract/test_schema.c - JSON Schema's keywords, one table for each kind. */
#include "schema_cases.h"

static void test_booleans_and_types(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "true takes all", "true", "[1,'a',true,false,null,{},{'a':1},[],[1]]", NULL },
        { "false takes nothing", "false", NULL, "[1,'a',true,false,null,{},{'a':1},[],[1]]" },
        { "empty takes all", "{}", "[1,'a',null,{},[[]]]", NULL },
        { "integer", "{'type':'integer'}", "[1,-1,0,1.0,1e3,-0.0,9007199254740993]",
          "[1.1,'1','foo',{},[],true,null]" },
        { "number", "{'type':'number'}", "[1,1.0,1.1,-1e-9]", "['1','foo',{},[],true,null]" },
        { "string", "{'type':'string'}", "['foo','1','']", "[1,1.1,{},[],true,null]" },
        { "object", "{'type':'object'}", "[{},{'a':1}]", "[1,1.1,'foo',[],true,null]" },
        { "array", "{'type':'array'}", "[[],[1]]", "[1,1.1,'foo',{},true,null]" },
        { "boolean", "{'type':'boolean'}", "[true,false]", "[1,0,'true','',{},[],null]" },
        { "null", "{'type':'null'}", "[null]", "[1,0,'',{},[],true,false]" },
        { "several types", "{'type':['integer','string']}", "[1,'foo',2.0]",
          "[1.1,{},[],true,null]" },
        { "one type in an array", "{'type':['string']}", "['foo']", "[123]" },
        { "array or object", "{'type':['array','object']}", "[[1],{'a':1}]", "[123,'foo',null]" },
        { "three types", "{'type':['array','object','null']}", "[[],{},null]", "[123,'foo']" },
        { "unknown keywords say nothing",
          "{'$comment':'x','title':'t','default':3,'examples':[],"
          "'deprecated':true,'readOnly':true,'x-y':{'type':1},'contentMediaType':'application/"
          "json',"
          "'contentEncoding':'base64'}",
          "['{:}','e30%',1,null]", NULL },
        { "content is an annotation",
          "{'contentMediaType':'application/json','contentEncoding':'base64',"
          "'contentSchema':{'type':'object'}}",
          "['eyJhIjoxfQ==','bm90',42,'{:}']", NULL },
        { "a default is not asserted", "{'properties':{'a':{'type':'integer','default':[]}}}",
          "[{},{'a':1}]", "[{'a':[]}]" },
        { "a default is not filled in",
          "{'properties':{'a':{'type':'number','maximum':3,'default':5}},'required':['a']}",
          "[{'a':1}]", "[{},{'a':5}]" },
    };
    CHECK_CASES(cases);
}

static void test_constants(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "enum", "{'enum':[1,2,3]}", "[1,3,1.0]", "[4,'1',null]" },
        { "enum of kinds", "{'enum':[6,'foo',[],true,{'foo':12}]}",
          "[[],'foo',{'foo':12},{'foo':12.0}]", "[null,{'foo':false},{'foo':12,'boo':42},[1]]" },
        { "enum with null", "{'enum':[6,null]}", "[null,6]", "['test',0]" },
        { "enum in members",
          "{'properties':{'foo':{'enum':['foo']},'bar':{'enum':['bar']}},'required':['bar']}",
          "[{'foo':'foo','bar':'bar'},{'bar':'bar'}]",
          "[{'foo':'foot','bar':'bar'},{'foo':'foo'},{}]" },
        { "enum with escapes", "{'enum':['foo\\nbar','foo\\rbar']}", "['foo\\nbar','foo\\rbar']",
          "['abc']" },
        { "enum false is not 0", "{'enum':[false]}", "[false]", "[0,0.0,'',null]" },
        { "enum [false] is not [0]", "{'enum':[[false]]}", "[[false]]", "[[0],[0.0]]" },
        { "enum true is not 1", "{'enum':[true]}", "[true]", "[1,1.0]" },
        { "enum [true] is not [1]", "{'enum':[[true]]}", "[[true]]", "[[1]]" },
        { "enum 0 is not false", "{'enum':[0]}", "[0,0.0,-0.0]", "[false,[]]" },
        { "enum 1 is not true", "{'enum':[[1]]}", "[[1],[1.0]]", "[[true],1]" },
        { "enum with zero bytes", "{'enum':['hello\\u0000there']}", "['hello\\u0000there']",
          "['hellothere','hello','hello\\u0000']" },
        { "enum of nothing", "{'enum':[]}", NULL, "[1,null]" },
        { "const", "{'const':2}", "[2,2.0,2e0]", "[5,'a','2']" },
        { "const object", "{'const':{'foo':'bar','baz':'bax'}}",
          "[{'foo':'bar','baz':'bax'},{'baz':'bax','foo':'bar'}]", "[{'foo':'bar'},[1,2],{}]" },
        { "const array", "{'const':[{'foo':'bar'}]}", "[[{'foo':'bar'}]]", "[[2],[1,2,3],[]]" },
        { "const null", "{'const':null}", "[null]", "[0,false,'']" },
        { "const false", "{'const':false}", "[false]", "[0,0.0]" },
        { "const true", "{'const':true}", "[true]", "[1,1.0]" },
        { "const in an object", "{'const':{'a':false}}", "[{'a':false}]", "[{'a':0},{'a':0.0}]" },
        { "const 1 in an object", "{'const':{'a':1}}", "[{'a':1},{'a':1.0}]", "[{'a':true}]" },
        { "const 0", "{'const':0}", "[0,0.0,-0.0]", "[false,{},[],'']" },
        { "const -2.0", "{'const':-2.0}", "[-2,-2.0]", "[2,2.0,-2.00001]" },
        { "const beyond doubles", "{'const':9007199254740992}",
          "[9007199254740992,9007199254740992.0]", "[9007199254740991,9007199254740993]" },
        { "const with a zero byte", "{'const':'hello\\u0000there'}", "['hello\\u0000there']",
          "['hellothere']" },
        { "const int64's ends", "{'const':9223372036854775807}", "[9223372036854775807]",
          "[9223372036854775806,9223372036854775808.0,-9223372036854775808]" },
    };
    CHECK_CASES(cases);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "minimum", "{'minimum':1.1}", "[2.6,1.1,'x']", "[0.6,1]" },
        { "minimum below 0", "{'minimum':-2}", "[-1,0,-2,-2.0,'x']", "[-2.0001,-3]" },
        { "maximum", "{'maximum':3.0}", "[2.6,3,3.0,'x']", "[3.5,4]" },
        { "maximum without fraction", "{'maximum':300}", "[299.97,300,300.00]", "[300.5]" },
        { "exclusiveMaximum", "{'exclusiveMaximum':3.0}", "[2.2,'x']", "[3.0,3,3.5]" },
        { "exclusiveMinimum", "{'exclusiveMinimum':1.1}", "[1.2,'x']", "[1.1,0.6]" },
        { "exact near 2^53", "{'maximum':9007199254740992}", "[9007199254740992]",
          "[9007199254740993]" },
        { "exact near 2^63", "{'exclusiveMaximum':9223372036854775808.0}", "[9223372036854775807]",
          "[9223372036854775808.0,1e300]" },
        { "very small", "{'minimum':-1e308}", "[-9223372036854775808,-1e308]", "[-1.7e308]" },
        { "multipleOf integer", "{'multipleOf':2}", "[10,0,-4,10.0,'x']", "[7,7.5]" },
        { "multipleOf fraction", "{'multipleOf':1.5}", "[0,4.5,-3]", "[35]" },
        { "multipleOf small", "{'multipleOf':0.0001}", "[0.0075,1,123.4567]", "[0.00751]" },
        { "multipleOf 0.01", "{'multipleOf':0.01}", "[0.07,19.99,4.35,1.1,1000000.29,8.61]",
          "[0.001,19.999]" },
        { "multipleOf of large", "{'type':'integer','multipleOf':0.123456789}", "[123456789,0]",
          "[1e308]" },
        { "multipleOf overflows no double", "{'multipleOf':0.5}", "[1e308,9223372036854775807]",
          "[0.3]" },
        { "multipleOf tiny of large", "{'type':'integer','multipleOf':1e-8}", "[12391239123]",
          NULL },
        { "multipleOf larger than the value", "{'multipleOf':1e30}", "[1e31,0]", "[1,1e29]" },
        { "multipleOf 3 of large", "{'multipleOf':3}", "[3e20,9223372036854775806]",
          "[1e20,9223372036854775807]" },
        { "minLength", "{'minLength':2}", "['foo','fo',1,'\\ud83d\\udca9\\ud83d\\udca9']",
          "['f','\\ud83d\\udca9','']" },
        { "minLength 2.0", "{'minLength':2.0}", "['foo']", "['f']" },
        { "maxLength", "{'maxLength':2}", "['f','fo',100,'\\ud83d\\udca9\\ud83d\\udca9','']",
          "['foo']" },
        { "maxLength 2.0", "{'maxLength':2.0}", "['f']", "['foo']" },
        { "maxLength beyond all", "{'maxLength':1e30}", "['f']", NULL },
        { "lengths count code points", "{'minLength':3,'maxLength':3}",
          "['\\u00e9\\u4e2da','e\\u0301x']", "['\\u00e9a']" },
    };
    CHECK_CASES(cases);
}

static void test_arrays(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "items", "{'items':{'type':'integer'}}",
          "[[1,2,3],[],{'foo':'bar'},{'0':'x','length':1}]", "[[1,'x']]" },
        { "items true", "{'items':true}", "[[1,'foo',true],[]]", NULL },
        { "items false", "{'items':false}", "[[],1]", "[[1,'foo'],[null]]" },
        { "items and subitems",
          "{'$defs':{'item':{'type':'array','items':false,'prefixItems':[{'$ref':'#/$defs/"
          "sub'},{'$ref':'#/$defs/sub'}]},"
          "'sub':{'type':'object','required':['foo']}},'type':'array','items':false,'prefixItems':"
          "[{'$ref':'#/$defs/item'},{'$ref':'#/$defs/item'}]}",
          "[[[{'foo':null},{'foo':null}],[{'foo':null},{'foo':null}]],[[{'foo':null}],[{'foo':null}"
          "]]]",
          "[[[{'foo':null}],[{'foo':null}],[]],[[{'foo':1},{'foo':1},{'foo':1}]],[{'foo':null}],[[{"
          "},{'foo':1}]]]" },
        { "nested items", "{'items':{'items':{'items':{'type':'number'}}}}",
          "[[[[1],[2]],[[3]]],[[],[[]]]]", "[[[['1']]]]" },
        { "prefixItems", "{'prefixItems':[{'type':'integer'},{'type':'string'}]}",
          "[[1,'foo'],[1],[1,'foo',true],[],{'0':'x'}]", "[['foo',1],[1,1]]" },
        { "prefixItems of booleans", "{'prefixItems':[true,false]}", "[[1],[]]", "[[1,'foo']]" },
        { "items behind prefixItems", "{'prefixItems':[{},{},{}],'items':{'type':'integer'}}",
          "[['','',''],['x',null,'z',1]]", "[['x','y','z','w']]" },
        { "items false behind prefixItems", "{'prefixItems':[{},{}],'items':false}",
          "[[],[1],[1,2]]", "[[1,2,3]]" },
        { "items does not look into prefixItems of allOf",
          "{'allOf':[{'prefixItems':[{'minimum':3}]}],'items':{'minimum':5}}", "[[5,5]]",
          "[[3,5],[2]]" },
        { "items with null", "{'items':{'type':'null'}}", "[[null]]", "[[0]]" },
        { "minItems", "{'minItems':1}", "[[1,2],[1],'']", "[[]]" },
        { "minItems 1.0", "{'minItems':1.0}", "[[1]]", "[[]]" },
        { "maxItems", "{'maxItems':2}", "[[1],[1,2],'foobar']", "[[1,2,3]]" },
        { "maxItems 0", "{'maxItems':0}", "[[]]", "[[1]]" },
        { "contains", "{'contains':{'minimum':5}}", "[[3,4,5],[3,4,5,6],{},'x']", "[[2,3,4],[]]" },
        { "contains const", "{'contains':{'const':5}}", "[[3,4,5],[5,5]]", "[[1,2,3,4]]" },
        { "contains true", "{'contains':true}", "[['foo'],1]", "[[]]" },
        { "contains false", "{'contains':false}", "['x']", "[['foo'],[]]" },
        { "contains and items", "{'items':{'multipleOf':2},'contains':{'multipleOf':3}}",
          "[[6,12]]", "[[2,4,8],[3,6,9],[1,5]]" },
        { "contains with if", "{'contains':{'if':false,'else':true}}", "[['foo']]", "[[]]" },
        { "contains null", "{'contains':{'type':'null'}}", "[[null]]", "[[1]]" },
        { "minContains alone says nothing", "{'minContains':1}", "[[1],[]]", NULL },
        { "minContains 1", "{'contains':{'const':1},'minContains':1}", "[[1],[1,2],[1,1]]",
          "[[],[2]]" },
        { "minContains 2", "{'contains':{'const':1},'minContains':2}", "[[1,1],[1,1,1],[1,2,1]]",
          "[[],[1],[1,2]]" },
        { "minContains 2.0", "{'contains':{'const':1},'minContains':2.0}", "[[1,1]]", "[[1]]" },
        { "minContains 0", "{'contains':{'const':1},'minContains':0}", "[[],[2]]", NULL },
        { "minContains 0 with maxContains",
          "{'contains':{'const':1},'minContains':0,'maxContains':1}", "[[],[1]]", "[[1,1]]" },
        { "maxContains alone says nothing", "{'maxContains':1}", "[[1],[1,2]]", NULL },
        { "maxContains", "{'contains':{'const':1},'maxContains':1}", "[[1],[1,2]]",
          "[[],[1,1],[1,2,1]]" },
        { "minContains above maxContains",
          "{'contains':{'const':1},'maxContains':1,'minContains':3}", NULL, "[[],[1],[1,1,1]]" },
        { "min and maxContains", "{'contains':{'const':1},'minContains':1,'maxContains':3}",
          "[[1,1]]", "[[],[1,1,1,1]]" },
    };
    CHECK_CASES(cases);
}

static void test_unique(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "unique", "{'uniqueItems':true}",
          "[[1,2],[],[1],['foo','bar'],[{'a':1},{'a':2}],[[1],[2]],[1,true],[0,false],[[1],[true]],"
          "[[0],[false]],"
          "[[[1],'foo'],[[true],'foo']],[{'a':1},{'a':true}],[{'a':false},{'a':0}],['a','A'],[{},[]"
          ",null,'',0,false],"
          "[1,'1'],[{'foo':{'bar':{'baz':true}}},{'foo':{'bar':{'baz':false}}}],[[['foo']],[['bar']"
          "]],"
          "[{},[1],true,null,1,'{}'],[1.5,2.5],{'a':1},'aa']",
          "[[1,1],[1,2,1],[1.0,1.00,1],[-0.0,0],['foo','bar','foo'],[{'a':1,'b':2},{'b':2,'a':1}],["
          "[1],[1.0]],"
          "[[['foo']],[['foo']]],[{'foo':{'bar':{'baz':true}}},{'foo':{'bar':{'baz':true}}}],[{},["
          "1],true,null,{},1],"
          "[null,null],[true,true],[[1],[2],[1]]]" },
        { "unique beyond the pairs", "{'uniqueItems':true}",
          "[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20],[0,false,'0',null,[],{},'',[0],["
          "false],{'a':0},"
          "{'a':false},1,true,'1',1.5]]",
          "[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,1.0],['a','b','c','d','e','f','g','h','i','a'],"
          "[{'a':1,'b':[2]},2,3,4,5,6,7,8,9,{'b':[2.0],'a':1.0}],[1e300,1,2,3,4,5,6,7,8,1e300],"
          "[9223372036854775807,1,2,3,4,5,6,7,8,9223372036854775807],[0.5,1,2,3,4,5,6,7,8,5e-1],"
          "[-0.0,1,2,3,4,5,6,7,8,0],[null,1,2,3,4,5,6,7,8,null]]" },
        { "unique with items",
          "{'prefixItems':[{'type':'boolean'},{'type':'boolean'}],'uniqueItems':true}",
          "[[false,true],[true,false],[false,true,'foo','bar']]",
          "[[false,false],[true,true],[false,true,'foo','foo'],[1,2]]" },
        { "unique and no more",
          "{'prefixItems':[{'type':'boolean'},{'type':'boolean'}],'uniqueItems':true,'items':"
          "false}",
          "[[false,true]]", "[[false,false],[false,true,null]]" },
        { "uniqueItems false", "{'uniqueItems':false}", "[[1,1],[{},{}],[1.0,1]]", NULL },
    };
    CHECK_CASES(cases);
}

static void test_objects(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "properties", "{'properties':{'foo':{'type':'integer'},'bar':{'type':'string'}}}",
          "[{'foo':1,'bar':'baz'},{'quux':[]},{},[],12]",
          "[{'foo':1,'bar':{}},{'foo':[],'bar':{}}]" },
        { "properties with others",
          "{'properties':{'foo':{'type':'array','maxItems':3},'bar':{'type':'array'}},"
          "'patternProperties':{'f.o':{'minItems':2}},'additionalProperties':{'type':'integer'}}",
          "[{'foo':[1,2]},{'bar':[]},{'quux':3},{'fxo':[1,2]}]",
          "[{'foo':[1,2,3,4]},{'foo':[]},{'fxo':[]},{'quux':'foo'}]" },
        { "properties of booleans", "{'properties':{'foo':true,'bar':false}}", "[{},{'foo':1}]",
          "[{'bar':2},{'foo':1,'bar':2}]" },
        { "names with escapes",
          "{'properties':{'foo\\nbar':{'type':'number'},'foo\\u0022bar':{'type':'number'},'"
          "foo\\\\bar':{'type':'number'},"
          "'foo\\rbar':{'type':'number'},'foo\\tbar':{'type':'number'},'foo\\fbar':{'type':'number'"
          "}}}",
          "[{'foo\\nbar':1,'foo\\u0022bar':1,'foo\\\\bar':1,'foo\\rbar':1,'foo\\tbar':1,'foo\\fbar'"
          ":1}]",
          "[{'foo\\nbar':'1'},{'foo\\u0022bar':'1'},{'foo\\\\bar':'1'},{'foo\\fbar':'1'}]" },
        { "null members", "{'properties':{'foo':{'type':'null'}}}", "[{'foo':null}]",
          "[{'foo':0}]" },
        { "names of JavaScript's own",
          "{'properties':{'__proto__':{'type':'number'},'toString':{'properties':{'length':{'type':"
          "'string'}}},"
          "'constructor':{'type':'number'}}}",
          "[[],12,{},{'__proto__':12,'toString':{'length':'foo'},'constructor':37}]",
          "[{'__proto__':'foo'},{'toString':{'length':37}},{'constructor':{'length':37}}]" },
        { "many properties",
          "{'properties':{'a':{'const':1},'b':{'const':2},'c':{'const':3},'d':{'const':4},'e':{'"
          "const':5},'f':{'const':6},"
          "'g':{'const':7},'hh':{'const':8},'ii':{'const':9},'jj':{'const':10},'':{'const':11}},'"
          "additionalProperties':false}",
          "[{'a':1,'b':2,'c':3,'d':4,'e':5,'f':6,'g':7,'hh':8,'ii':9,'jj':10,'':11}]",
          "[{'a':2},{'g':1},{'jj':9},{'':1},{'k':1},{'aa':1},{'kk':1},{'hh':1},{'d':5}]" },
        { "additionalProperties false",
          "{'properties':{'foo':{},'bar':{}},'patternProperties':{'^v':{}},'additionalProperties':"
          "false}",
          "[{'foo':1},[1,2,3],'foobarbaz',{'foo':1,'vroom':2}]",
          "[{'foo':1,'bar':2,'quux':'boom'}]" },
        { "additionalProperties by non-ASCII pattern",
          "{'patternProperties':{'^\\u00e1':{}},'additionalProperties':false}",
          "[{'\\u00e1rm\\u00e1nyos':2}]", "[{'\\u00e9lm\\u00e9ny':2}]" },
        { "additionalProperties schema",
          "{'properties':{'foo':{},'bar':{}},'additionalProperties':{'type':'boolean'}}",
          "[{'foo':1},{'foo':1,'bar':2,'quux':true}]", "[{'foo':1,'bar':2,'quux':12}]" },
        { "additionalProperties alone", "{'additionalProperties':{'type':'boolean'}}",
          "[{'foo':true}]", "[{'foo':1}]" },
        { "additionalProperties does not look into allOf",
          "{'allOf':[{'properties':{'foo':{}}}],'additionalProperties':{'type':'boolean'}}",
          "[{'foo':true}]", "[{'foo':1}]" },
        { "additionalProperties with null", "{'additionalProperties':{'type':'null'}}",
          "[{'foo':null}]", NULL },
        { "additionalProperties and propertyNames",
          "{'propertyNames':{'maxLength':5},'additionalProperties':{'type':'number'}}",
          "[{'apple':4}]", "[{'fig':2,'pear':'available'},{'banana':1}]" },
        { "dependentSchemas with additionalProperties",
          "{'properties':{'foo2':{}},'dependentSchemas':{'foo':{},'foo2':{'properties':{'bar':{}}}}"
          ",'additionalProperties':false}",
          "[{'foo2':''}]", "[{'foo':''},{'bar':''},{'foo2':'','bar':''}]" },
        { "patternProperties", "{'patternProperties':{'f.*o':{'type':'integer'}}}",
          "[{'foo':1},{'foo':1,'foooooo':2},{},['foo'],'foo',12]",
          "[{'foo':'bar','fooooo':2},{'foo':'bar','foooooo':'baz'}]" },
        { "several patternProperties",
          "{'patternProperties':{'a*':{'type':'integer'},'aaa*':{'maximum':20}}}",
          "[{'a':21},{'aaaa':18},{'a':21,'aaaa':18}]",
          "[{'a':'bar'},{'aaaa':31},{'aaa':'foo','aaaa':31}]" },
        { "patternProperties are not anchored, and know case",
          "{'patternProperties':{'[0-9]{2,}':{'type':'boolean'},'X_':{'type':'string'}}}",
          "[{'answer 1':'42'},{'a_x_3':3}]", "[{'a31b':null},{'a_X_3':3}]" },
        { "patternProperties of booleans", "{'patternProperties':{'f.*':true,'b.*':false}}",
          "[{'foo':1},{}]", "[{'bar':2},{'foo':1,'bar':2},{'foobar':1}]" },
        { "patternProperties with null", "{'patternProperties':{'^.*bar$':{'type':'null'}}}",
          "[{'foobar':null}]", NULL },
        { "propertyNames", "{'propertyNames':{'maxLength':3}}",
          "[{'f':{},'foo':{}},{},[1,2],'foobar',12]", "[{'foo':{},'foobar':{}}]" },
        { "propertyNames pattern", "{'propertyNames':{'pattern':'^a+$'}}",
          "[{'a':{},'aa':{},'aaa':{}},{}]", "[{'aaA':{}}]" },
        { "propertyNames true", "{'propertyNames':true}", "[{'foo':1},{}]", NULL },
        { "propertyNames false", "{'propertyNames':false}", "[{}]", "[{'foo':1}]" },
        { "propertyNames const", "{'propertyNames':{'const':'foo'}}", "[{'foo':1},{}]",
          "[{'bar':1}]" },
        { "propertyNames enum", "{'propertyNames':{'enum':['foo','bar']}}",
          "[{'foo':1},{'foo':1,'bar':1},{}]", "[{'baz':1}]" },
        { "required", "{'properties':{'foo':{},'bar':{}},'required':['foo']}",
          "[{'foo':1},[],'',12,null]", "[{'bar':1},{}]" },
        { "required of nothing", "{'required':[]}", "[{}]", NULL },
        { "required with escapes",
          "{'required':['foo\\nbar','foo\\u0022bar','foo\\\\bar','foo\\rbar','foo\\tbar','"
          "foo\\fbar']}",
          "[{'foo\\nbar':1,'foo\\u0022bar':1,'foo\\\\bar':1,'foo\\rbar':1,'foo\\tbar':1,'foo\\fbar'"
          ":1}]",
          "[{'foo\\nbar':'1','foo\\u0022bar':'1'}]" },
        { "required names of JavaScript's own",
          "{'required':['__proto__','toString','constructor']}",
          "[[],12,{'__proto__':1,'toString':{'length':'foo'},'constructor':37}]",
          "[{},{'__proto__':'foo'},{'toString':{'length':37}},{'constructor':{'length':37}}]" },
        { "minProperties", "{'minProperties':1}", "[{'foo':1,'bar':2},{'foo':1},[],'',12]",
          "[{}]" },
        { "minProperties 1.0", "{'minProperties':1.0}", "[{'a':1}]", "[{}]" },
        { "maxProperties", "{'maxProperties':2}",
          "[{'foo':1},{'foo':1,'bar':2},[1,2,3],'foobar',12]", "[{'a':1,'b':2,'c':3}]" },
        { "maxProperties 0", "{'maxProperties':0}", "[{}]", "[{'foo':1}]" },
        { "dependentRequired", "{'dependentRequired':{'bar':['foo']}}",
          "[{},{'foo':1},{'foo':1,'bar':2},['bar'],'foobar',12]", "[{'bar':2}]" },
        { "dependentRequired on nothing", "{'dependentRequired':{'bar':[]}}", "[{},{'bar':2},1]",
          NULL },
        { "dependentRequired on several", "{'dependentRequired':{'quux':['foo','bar']}}",
          "[{},{'foo':1,'bar':2},{'foo':1,'bar':2,'quux':3}]",
          "[{'foo':1,'quux':2},{'bar':1,'quux':2},{'quux':1}]" },
        { "dependentRequired with escapes",
          "{'dependentRequired':{'foo\\nbar':['foo\\rbar'],'foo\\u0022bar':['foo\\u0027bar']}}",
          "[{'foo\\nbar':1,'foo\\rbar':2},{'foo\\u0027bar':1,'foo\\u0022bar':2}]",
          "[{'foo\\nbar':1},{'foo\\u0022bar':2}]" },
        { "dependentSchemas",
          "{'dependentSchemas':{'bar':{'properties':{'foo':{'type':'integer'},'bar':{'type':'"
          "integer'}}}}}",
          "[{'foo':1,'bar':2},{'foo':'quux'},['bar'],'foobar',12]",
          "[{'foo':'quux','bar':2},{'foo':2,'bar':'quux'},{'foo':'quux','bar':'quux'}]" },
        { "dependentSchemas of booleans", "{'dependentSchemas':{'foo':true,'bar':false}}",
          "[{'foo':1},{}]", "[{'bar':2},{'foo':1,'bar':2}]" },
        { "dependentSchemas with escapes",
          "{'dependentSchemas':{'foo\\tbar':{'minProperties':4},'foo\\u0027bar':{'required':['"
          "foo\\u0022bar']}}}",
          "[{'foo\\tbar':1,'a':2,'b':3,'c':4}]",
          "[{'foo\\u0027bar':{'foo\\u0022bar':1}},{'foo\\tbar':1,'a':2},{'foo\\u0027bar':1}]" },
    };
    CHECK_CASES(cases);
}

static void test_combinations(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "allOf",
          "{'allOf':[{'properties':{'bar':{'type':'integer'}},'required':['bar']},"
          "{'properties':{'foo':{'type':'string'}},'required':['foo']}]}",
          "[{'foo':'baz','bar':2}]", "[{'foo':'baz'},{'bar':2},{'foo':'baz','bar':'quux'}]" },
        { "allOf with base",
          "{'properties':{'bar':{'type':'integer'}},'required':['bar'],'allOf':[{'properties':"
          "{'foo':{'type':'string'}},'required':['foo']},{'properties':{'baz':{'type':'null'}},'"
          "required':['baz']}]}",
          "[{'foo':'quux','bar':2,'baz':null}]",
          "[{'foo':'quux','baz':null},{'bar':2,'baz':null},{'bar':2}]" },
        { "allOf simple", "{'allOf':[{'maximum':30},{'minimum':20}]}", "[25]", "[35,10]" },
        { "allOf true true", "{'allOf':[true,true]}", "['foo']", NULL },
        { "allOf true false", "{'allOf':[true,false]}", NULL, "['foo']" },
        { "allOf false false", "{'allOf':[false,false]}", NULL, "['foo']" },
        { "allOf of one empty", "{'allOf':[{}]}", "[1]", NULL },
        { "allOf empty and number", "{'allOf':[{},{'type':'number'}]}", "[1]", "['foo']" },
        { "nested allOf", "{'allOf':[{'allOf':[{'type':'null'}]}]}", "[null]", "[123]" },
        { "allOf, anyOf and oneOf",
          "{'allOf':[{'multipleOf':2}],'anyOf':[{'multipleOf':3}],'oneOf':[{'multipleOf':5}]}",
          "[30]", "[1,5,3,15,2,10,6]" },
        { "anyOf", "{'anyOf':[{'type':'integer'},{'minimum':2}]}", "[1,2.5,3]", "[1.5]" },
        { "anyOf with base", "{'type':'string','anyOf':[{'maxLength':2},{'minLength':4}]}",
          "['foobar','fo']", "[3,'foo']" },
        { "anyOf true true", "{'anyOf':[true,true]}", "['foo']", NULL },
        { "anyOf true false", "{'anyOf':[true,false]}", "['foo']", NULL },
        { "anyOf false false", "{'anyOf':[false,false]}", NULL, "['foo']" },
        { "anyOf complex",
          "{'anyOf':[{'properties':{'bar':{'type':'integer'}},'required':['bar']},"
          "{'properties':{'foo':{'type':'string'}},'required':['foo']}]}",
          "[{'bar':2},{'foo':'baz'},{'foo':'baz','bar':2}]", "[{'foo':2,'bar':'quux'}]" },
        { "anyOf with one empty", "{'anyOf':[{'type':'number'},{}]}", "['foo',123]", NULL },
        { "nested anyOf", "{'anyOf':[{'anyOf':[{'type':'null'}]}]}", "[null]", "[123]" },
        { "oneOf", "{'oneOf':[{'type':'integer'},{'minimum':2}]}", "[1,2.5]", "[3,1.5]" },
        { "oneOf with base", "{'type':'string','oneOf':[{'minLength':2},{'maxLength':4}]}",
          "['foobar','f']", "[3,'foo']" },
        { "oneOf all true", "{'oneOf':[true,true,true]}", NULL, "['foo']" },
        { "oneOf one true", "{'oneOf':[true,false,false]}", "['foo']", NULL },
        { "oneOf two true", "{'oneOf':[true,true,false]}", NULL, "['foo']" },
        { "oneOf all false", "{'oneOf':[false,false,false]}", NULL, "['foo']" },
        { "oneOf complex",
          "{'oneOf':[{'properties':{'bar':{'type':'integer'}},'required':['bar']},"
          "{'properties':{'foo':{'type':'string'}},'required':['foo']}]}",
          "[{'bar':2},{'foo':'baz'}]", "[{'foo':'baz','bar':2},{'foo':2,'bar':'quux'}]" },
        { "oneOf with an empty schema", "{'oneOf':[{'type':'number'},{}]}", "['foo']", "[123]" },
        { "oneOf of required",
          "{'type':'object','oneOf':[{'required':['foo','bar']},{'required':['foo','baz']}]}",
          "[{'foo':1,'bar':2},{'foo':1,'baz':3}]", "[{'bar':2},{'foo':1,'bar':2,'baz':3}]" },
        { "oneOf with a missing optional",
          "{'oneOf':[{'properties':{'bar':true,'baz':true},'required':['bar']},{'properties':{'foo'"
          ":true},'required':['foo']}]}",
          "[{'bar':8},{'foo':'foo'}]", "[{'foo':'foo','bar':8},{'baz':'quux'}]" },
        { "nested oneOf", "{'oneOf':[{'oneOf':[{'type':'null'}]}]}", "[null]", "[123]" },
        { "not", "{'not':{'type':'integer'}}", "['foo',1.5]", "[1]" },
        { "not of several", "{'not':{'type':['integer','boolean']}}", "['foo']", "[1,true]" },
        { "not complex", "{'not':{'type':'object','properties':{'foo':{'type':'string'}}}}",
          "[1,{'foo':1}]", "[{'foo':'bar'}]" },
        { "forbidden member", "{'properties':{'foo':{'not':{}}}}", "[{'bar':1}]", "[{'foo':1}]" },
        { "not everything", "{'not':true}", NULL, "[1,'foo',{},null,[]]" },
        { "not nothing", "{'not':false}", "[1,'foo',{},null]", NULL },
        { "double not", "{'not':{'not':{}}}", "['foo']", NULL },
        { "not with annotations below",
          "{'not':{'anyOf':[true,{'properties':{'foo':true}}],'unevaluatedProperties':false}}",
          "[{'bar':1}]", "[{'foo':1}]" },
        { "if alone", "{'if':{'const':0}}", "[0,'hello']", NULL },
        { "then alone", "{'then':{'const':0}}", "[0,'hello']", NULL },
        { "else alone", "{'else':{'const':0}}", "[0,'hello']", NULL },
        { "if and then", "{'if':{'exclusiveMaximum':0},'then':{'minimum':-10}}", "[-1,3]",
          "[-100]" },
        { "if and else", "{'if':{'exclusiveMaximum':0},'else':{'multipleOf':2}}", "[-1,4]", "[3]" },
        { "if, then and else",
          "{'if':{'exclusiveMaximum':0},'then':{'minimum':-10},'else':{'multipleOf':2}}", "[-1,4]",
          "[-100,3]" },
        { "separate ifs do not meet",
          "{'allOf':[{'if':{'exclusiveMaximum':0}},{'then':{'minimum':-10}},{'else':{'multipleOf':"
          "2}}]}",
          "[-100,3]", NULL },
        { "if true", "{'if':true,'then':{'const':'then'},'else':{'const':'else'}}", "['then']",
          "['else']" },
        { "if false", "{'if':false,'then':{'const':'then'},'else':{'const':'else'}}", "['else']",
          "['then']" },
        { "if behind then and else",
          "{'then':{'const':'yes'},'else':{'const':'other'},'if':{'maxLength':4}}",
          "['yes','other']", "['no','invalid']" },
        { "then false", "{'if':{'const':1},'then':false}", "[2]", "[1]" },
        { "an infinite loop that is none",
          "{'$defs':{'int':{'type':'integer'}},'allOf':[{'properties':{'foo':{'$ref':'#/$defs/"
          "int'}}},"
          "{'additionalProperties':{'$ref':'#/$defs/int'}}]}",
          "[{'foo':1}]", "[{'foo':'x'}]" },
    };
    CHECK_CASES(cases);
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "pattern", "{'pattern':'^a*$'}", "['aaa','',true,123,1.0,{},[],null]", "['abc']" },
        { "pattern is not anchored", "{'pattern':'a+'}", "['xxaayy']", "['xyz']" },
        { "pattern of spaces", "{'pattern':'[\\\\s]'}", "[' ','a\\tb']", "['ab']" },
        { "$ is the very end", "{'pattern':'^abc$'}", "['abc']",
          "['abc\\n','abc\\u2028','\\nabc']" },
        { "\\t", "{'pattern':'^\\\\t$'}", "['\\t']", "['\\\\t']" },
        { "\\cC, \\cc", "{'pattern':'^\\\\cC\\\\cc$'}", "['\\u0003\\u0003']", "['\\\\cC','CC']" },
        { "\\d is ASCII", "{'pattern':'^\\\\d$'}", "['0']", "['\\u07c0','a']" },
        { "\\D is the rest", "{'pattern':'^\\\\D$'}", "['\\u07c0','\\ud835\\udfd8']", "['0']" },
        { "\\w is ASCII", "{'pattern':'^\\\\w$'}", "['a','_','0']", "['\\u00e9','-']" },
        { "\\W is the rest", "{'pattern':'^\\\\W$'}", "['\\u00e9',' ']", "['a']" },
        { "\\s is Unicode's", "{'pattern':'^\\\\s$'}",
          "[' "
          "','\\t','\\u000b','\\f','\\u00a0','\\ufeff','\\n','\\r','\\u2028','\\u2029','\\u2003']",
          "['\\u0001','\\u2013','\\u200b','\\u0085']" },
        { "\\S is the rest", "{'pattern':'^\\\\S$'}", "['\\u0001','\\u2013']",
          "[' ','\\u00a0','\\ufeff','\\u2003']" },
        { "\\s in a class", "{'pattern':'^[\\\\sx]$'}", "['\\u00a0','x','\\u2029']", "['y']" },
        { "[\\s\\S] is all", "{'pattern':'^[\\\\s\\\\S]$'}",
          "['\\u00a0','x','\\n','\\ud83d\\ude00']", "['xx','']" },
        { ". is all but line ends", "{'pattern':'^.$'}", "['\\ud83d\\ude00','\\u0085']",
          "['\\n','\\r','\\u2028','\\u2029']" },
        { "\\p{Letter}", "{'pattern':'^\\\\p{Letter}+$'}", "['Buchst\\u00e4be','\\u65e5\\u672c']",
          "['a1','-']" },
        { "\\p{L} and cole", "{'pattern':'\\\\p{Letter}cole'}",
          "['Les hivers de mon enfance; l\\u00e9cole','\\u00c9cole']", "['+cole']" },
        { "\\wcole is ASCII", "{'pattern':'\\\\wcole'}", "['xcole']", "['\\u00e9cole']" },
        { "[a-z]cole", "{'pattern':'[a-z]cole'}", "['ecole']", "['\\u00e9cole']" },
        { "\\p{digit}", "{'pattern':'^\\\\p{digit}+$'}", "['42','\\u09ea\\u09e8']", "['-%#']" },
        { "\\P{Lu}", "{'pattern':'^\\\\P{Lu}$'}", "['a','1']", "['A','\\u00c4']" },
        { "gc=", "{'pattern':'^\\\\p{General_Category=Decimal_Number}\\\\p{gc=Lowercase_Letter}$'}",
          "['1a']", "['a1','1A']" },
        { "Script=", "{'pattern':'^\\\\p{Script=Greek}+\\\\p{sc=Cyrillic}$'}", "['\\u03b1\\u0436']",
          "['a\\u0436','\\u03b1a']" },
        { "binary properties", "{'pattern':'^\\\\p{Alphabetic}\\\\p{White_Space}\\\\P{ASCII}$'}",
          "['a \\u00e4']", "['a a']" },
        { "a class of properties", "{'pattern':'^[\\\\p{Lu}\\\\p{Nd}]+$'}", "['A1']", "['a1']" },
        { "beyond the first plane", "{'pattern':'^\\ud83d\\udc32*$'}",
          "['','\\ud83d\\udc32','\\ud83d\\udc32\\ud83d\\udc32']", "['\\ud83d\\udc09']" },
        { "\\u", "{'pattern':'^\\\\u0041\\\\ud83d\\\\udc32\\\\u{1F432}$'}",
          "['A\\ud83d\\udc32\\ud83d\\udc32']", "['a']" },
        { "\\x", "{'pattern':'^\\\\x41\\\\x7e$'}", "['A~']", "['A']" },
        { "\\0 and \\v", "{'pattern':'^\\\\0\\\\v$'}", "['\\u0000\\u000b']",
          "['0v','\\u0000\\n']" },
        { "empty classes", "{'pattern':'^(a|[])[^]$'}", "['a\\n','a\\u2028']", "['b','a']" },
        { "a bracket in a class", "{'pattern':'^[[:alpha:]$'}", "['[',':','h']", "['b','z','b]']" },
        { "braces and brackets that stand for themselves", "{'pattern':'^{a}{,2}]$'}",
          "['{a}{,2}]']", "['aa']" },
        { "quantifiers", "{'pattern':'^a{2}b{1,}c{0,1}?d*?$'}", "['aabb','aabcd']",
          "['ab','aacc']" },
        { "named groups", "{'pattern':'^(?<q>a|b)\\\\k<q>\\\\1$'}", "['aaa','bbb']", "['aab']" },
        { "a reference to an open group", "{'pattern':'^(?:(a)|b)\\\\1$'}", "['aa','b']",
          "['ba']" },
        { "look around", "{'pattern':'^(?!ab)(?=a)a(?<=a)(?<!b)c$'}", "['ac']", "['ab','bc']" },
        { "needless backslashes", "{'pattern':'^\\\\-\\\\@\\\\/\\\\_\\\\\\u00e9$'}",
          "['-@/_\\u00e9']", "['x']" },
        { "\\b", "{'pattern':'\\\\bfoo\\\\b[\\\\b]?'}", "['a foo b','foo']", "['afoo']" },
        { "alternatives", "{'pattern':'^(|(a|b)*)$'}", "['','abba']", "['c']" },
        { "format regex", "{'format':'regex'}",
          "['([abc])+\\\\s+$','^\\\\p{Letter}$','(?<a>x)\\\\k<a>','[^]','',12,null,{},[]]",
          "['^(abc]','\\\\a','^\\\\S(|(.|\\\\n)*\\\\S)\\\\Z','(?i)a','a++','(?>a)','(*UTF)a','"
          "\\\\Qa\\\\E','[[','(','\\\\',"
          "'(?#x)','*a','\\\\h','\\\\8','\\\\u12','\\\\ud800','\\\\p{Foo}','\\\\p{}','\\\\p{Script="
          "No}','\\\\p{x=y}','\\\\c1',"
          "'\\\\01','[b-a]','a{2,1}','a**','a{2}{3}','\\\\x4','\\\\u{110000}','[\\\\B]','[\\\\1]','"
          "(?P<n>a)','\\\\k','\\\\e','(?R)',"
          "'(?|a)','(?(1)a)','\\\\N{U+41}','\\\\X','\\\\z','\\\\A']" },
    };
    CHECK_CASES(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_booleans_and_types),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_unique),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
