/* tests/contract/test_schema_format.c - JSON Schema's formats; what is no string fits each of them.
 */
#include "schema_cases.h"

static void test_unknown_format(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "unknown", "{'format':'no-such-thing'}", "['x','',1,null]", NULL },
        { "no string", "{'format':'ipv4'}", "[12,13.7,{},[],false,null]", NULL },
    };
    CHECK_CASES(cases);
}

static void test_times(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "date-time", "{'format':'date-time'}",
          "['1963-06-19T08:30:06.283185Z','1963-06-19T08:30:06Z','1937-01-01T12:00:27.87+00:20','"
          "1990-12-31T15:59:50.123-08:00',"
          "'1998-12-31T23:59:60Z','1998-12-31T15:59:60.123-08:00','1963-06-19t08:30:06.283185z','"
          "2024-02-29T00:00:00Z']",
          "['1998-12-31T23:59:61Z','1998-12-31T23:58:60Z','1998-12-31T22:59:60Z','1990-02-31T15:59:"
          "59.123-08:00',"
          "'1990-12-31T15:59:59-24:00','1963-06-19T08:30:06.28123+01:00Z','06/19/1963 08:30:06 "
          "PST','2013-350T01:01:01',"
          "'1963-6-19T08:30:06.283185Z','1963-06-1T08:30:06.283185Z','1963-06-1\\u09eaT00:00:00Z','"
          "1963-06-11T0\\u09ea:00:00Z',"
          "'2023-02-29T00:00:00Z','1963-06-19 "
          "08:30:06Z','1963-06-19T08:30:06','1963-06-19T08:30Z','1963-06-19T24:00:00Z',"
          "'1963-06-19T08:60:00Z','1963-06-19T08:30:06+1:00','1963-06-19T08:30:06+0100','1963-06-"
          "19T08:30:06.Z','',"
          "'+11963-06-19T08:30:06Z','1963-06-19T08:30:06Z\\n','1963-06-19T08:30:06\\u0000Z']" },
        { "date", "{'format':'date'}",
          "['1963-06-19','2020-01-31','2020-02-29','2021-02-28','2020-12-31','2000-02-29']",
          "['2020-01-32','2021-02-29','2020-02-30','2020-04-31','2020-13-01','2020-00-01','2020-01-"
          "00','06/19/1963','2013-350',"
          "'1998-1-20','1998-01-1','1963-06-1\\u09ea','20230328','2023-W01','2023-W13-2','2022W527'"
          ",'1900-02-29','','1963-06-19Z',"
          "'1963-06-19T','-1963-06-19','1963-06']" },
        { "time", "{'format':'time'}",
          "['08:30:06Z','08:30:06.283185Z','12:00:00.52Z','23:59:60Z','23:59:60+00:00','01:29:60+"
          "01:30','23:29:60+23:30','15:59:60-08:00',"
          "'00:29:60-23:30','08:30:06+00:20','08:30:06-08:00','08:30:06z','23:20:50.52Z','20:44:38+"
          "23:59']",
          "['22:59:60Z','23:58:60Z','23:59:60+01:00','23:59:60+00:30','23:59:60-01:00','23:59:60-"
          "00:30','24:00:00Z','00:60:00Z',"
          "'00:00:61Z','22:59:60+00:00','01:02:03+24:00','01:02:03+00:60','01:02:03Z+00:30','08:30:"
          "06 PST','01:01:01,1111',"
          "'12:00:00','12:00:00.52','1\\u09e8:00:00Z','08:30:06#00:20','ab:cd:ef','08:30Z','8:30:"
          "06Z','008:030:006Z','08:30:06-8:00',"
          "'08:30:06-08:000','','Z','08:30:06+','08-30-06Z','08:30:06.Z','08:30:6Z']" },
        { "duration", "{'format':'duration'}",
          "['P4DT12H30M5S','P4Y','PT0S','P0D','P1M','PT1M','PT36H','P1DT12H','P2W','P1YT2H','"
          "P1Y2M3D','PT1M3S','P23DT23H','P10000W']",
          "['PT1D','4DT12H30M5S','P','P1YT','PT','P2D1Y','P1D2H','P2S','P1Y2W','P1','PT5','"
          "P2\\u09eaY','P1Y2D','PT1H30S','P1W2D','','T1H',"
          "'-P1D','P-1D','P1.5D','PT1.5S','p1d','P1D ','PW','P1H','PTT1H','P1\\u0000','PT1S1S']" },
    };
    CHECK_CASES(cases);
}

/* A label of 63 letters. */
#define A63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static void test_hosts(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "hostname", "{'format':'hostname'}",
          "['www.example.com','xn--4gbwdl.xn--wgbh1c','hostname','host-name','h0stn4me','1host','"
          "hostnam3','" A63 ".com','EXAMPLE.COM','a.b',"
          "'123.456','xn--ihqwcrb4cv8a8dqg056pqjye','xn--zca29lwxobi7a','xn--qmbc','" A63 "." A63
          "." A63 ".aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg']",
          "['','-a-host-name-that-starts-with--','not_a_valid_host_name','" A63
          "g.com','-hostname','hostname-','_hostname','hostname_',"
          "'host_name','.','.example','example.','hostname.','a..b','a\\uff0eb','a "
          "b','a:80','xn--X','XN--aa---o47jg78q','-> $1.00 --','xn--',"
          "'xn---','ab--cd','xn--hello-txk','xn--hello-zed','xn--hello-6bf','xn--07jceefgh4c','xn--"
          "al-0ea','xn--l-fda','xn--la-0ea','xn--s-jib3p','xn--5db1e',"
          "'xn--vek','xn--abc-','ex\\u00e4mple.com','[::1]','" A63 "." A63 "." A63
          ".aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg']" },
        { "idn-hostname", "{'format':'idn-hostname'}",
          "['example.com','\\uc2e4\\ub840.\\ud14c\\uc2a4\\ud2b8','xn--ihqwcrb4cv8a8dqg056pqjye','"
          "\\u00df\\u03c2\\u0f0b\\u3007','\\u06fd\\u06fe',"
          "'l\\u00b7l','\\u03b1\\u0375\\u03b2','\\u05d0\\u05f3\\u05d1','\\u05d0\\u05f4\\u05d1','"
          "\\u30fb\\u3041','\\u30fb\\u30a1','\\u30fb\\u4e08',"
          "'\\u0628\\u0660\\u0628','\\u06f00','\\u0915\\u094d\\u200d\\u0937','"
          "\\u0915\\u094d\\u200c\\u0937','\\u0628\\u064a\\u200c\\u0628\\u064a',"
          "'hostname','host-name','h0stn4me','a.b','a\\u3002b','a\\uff0eb','a\\uff61b','"
          "b\\u00fccher.example','\\u65e5\\u672c\\u3002jp','b\\u0101\\u0300']",
          "['','\\u302e\\uc2e4\\ub840.\\ud14c\\uc2a4\\ud2b8','\\uc2e4\\u302e\\ub840."
          "\\ud14c\\uc2a4\\ud2b8',"
          "'\\uc2e4\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\u"
          "b840\\ub840\\ub840\\ub840\\ub840\\ub840\\ub840\\ud14c\\uc2a4\\ud2b8\\ub840\\ub840\\ub840"
          "\\ub840\\ub840\\ub840\\ub840\\ub840\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc"
          "2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4\\uc2e4.\\ub840',"
          "'-> $1.00 "
          "<--','xn--X','XN--aa---o47jg78q','-hello','hello-','-hello-','\\u0903hello','"
          "\\u0300hello','\\u0488hello','\\u0640\\u07fa',"
          "'\\u3031\\u3032\\u3033\\u3034\\u3035\\u302e\\u302f\\u303b','a\\u00b7l','\\u00b7l','"
          "l\\u00b7a','l\\u00b7','\\u03b1\\u0375S','\\u03b1\\u0375',"
          "'A\\u05f3\\u05d1','\\u05f3\\u05d1','A\\u05f4\\u05d1','\\u05f4\\u05d1','def\\u30fbabc','"
          "\\u30fb','\\u0628\\u0660\\u06f0','\\u0915\\u200d\\u0937',"
          "'\\u200d\\u0937','\\u0915\\u200c\\u0937','-hostname','hostname-','_hostname','hostname_'"
          ",'host_name','.','\\u3002','\\uff0e','\\uff61','.example','\\u3002example',"
          "'example.','example\\u3002','example\\uff61','a\\u3002\\u3002b','\\u00dcmlaut','\\uff41'"
          ",'\\u2603','a\\u0085b','\\u00e4b--c','\\u00e4 b','ab--\\u00e4']" },
    };
    CHECK_CASES(cases);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "ipv4", "{'format':'ipv4'}", "['192.168.0.1','0.0.0.0','255.255.255.255','87.10.0.1']",
          "['127.0.0.0.1','256.256.256.256','127.0','0x7f000001','2130706433','087.10.0.1','87.010."
          "0.1','1\\u09e87.0.0.1','192.168.1.0/24',"
          "'','1.2.3.','.1.2.3','1..2.3','1.2.3.4 ',' "
          "1.2.3.4','1.2.3.4\\n','-1.2.3.4','1.2.3.04','a.b.c.d','1.2.3.0x4','1.2.3.+4']" },
        { "ipv6", "{'format':'ipv6'}",
          "['::1','::abef','::','::42:ff:1','d6::','1:d6::42','1::d6:192.168.0.1','1:2::192.168.0."
          "1','::ffff:192.168.0.1','1:2:3:4:5:6:7:8',"
          "'::2:3:4:5:6:7:8','1::3:4:5:6:7:8','1:2:3:4:5:6:7::','2001:DB8::8:800:200C:417A','1:2:3:"
          "4:5:6:1.2.3.4','::1.2.3.4']",
          "['12345::','::abcef','1:1:1:1:1:1:1:1:1:1:1:1:1:1:1:1','::laptop',':2:3:4:5:6:7:8','1:2:"
          "3:4:5:6:7:',':2:3:4::8','1::d6::42',"
          "'1::2:192.168.256.1','1::2:192.168.ff.1','::ffff:192.168.0','1:2:3:4:5:::8','1:2:3:4:5:"
          "6:7','1','127.0.0.1','1:2:3:4:1.2.3',"
          "'  ::1','::1  "
          "','fe80::/"
          "64','fe80::a%eth1','1000:1000:1000:1000:1000:1000:255.255.255.255.255','1:2:3:4:5:6:7:8:"
          ":','::1:2:3:4:5:6:7:8',"
          "'1:2:3:4:5:6:7:\\u09ea','1:2::192.16\\u09ea.0.1','','1:::2',':::',':','::1:','1.2.3.4::'"
          ",'::1.2.3.4:5','1:2:3:4:5:6:7:1.2.3.4',"
          "'[::1]','::g','::ffff:192.168.0.01','1:2:3:4:5:6:7:8:9','0000:00000::']" },
        { "email", "{'format':'email'}",
          "['joe.bloggs@example.com','te~st@example.com','~test@example.com','test~@example.com','"
          "\\u0022joe bloggs\\u0022@example.com',"
          "'\\u0022joe..bloggs\\u0022@example.com','\\u0022joe@bloggs\\u0022@example.com','"
          "\\u0022a\\\\\\u0022b\\u0022@example.com','joe.bloggs@[127.0.0.1]',"
          "'joe.bloggs@[IPv6:::1]','te.s.t@example.com','riedgar+guest@example.com','a@b','!#$%&`*+"
          "/=?^_{|}~@example.com']",
          "['2962','.test@example.com','test.@example.com','te..st@example.com','joe.bloggs@"
          "invalid=domain.com','joe.bloggs@[127.0.0.300]','',"
          "'@example.com','a@','joe "
          "bloggs@example.com','a@b@c','a@-b','\\u0022a@example.com','\\u0022a\\u0022b\\u0022@"
          "example.com','user1@oceania.org, user2@oceania.org',"
          "'\\u0022Winston Smith\\u0022 "
          "<winston.smith@recdep.minitrue>','a@[IPv6:1::2::3]','a@[::1]','a@[]','j\\u00f6@example."
          "com','a@ex\\u00e4mple.com',"
          "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b','a(b)@c','a@b.','"
          "\\u0022a\\u0001\\u0022@b','a\\u0000@b']" },
        { "idn-email", "{'format':'idn-email'}",
          "['\\uc2e4\\ub840@\\uc2e4\\ub840.\\ud14c\\uc2a4\\ud2b8','joe.bloggs@example.com','"
          "j\\u00f6@b\\u00fccher.example','\\u0022\\u00e4 b\\u0022@c']",
          "['2962','\\uc2e4\\ub840','@\\uc2e4\\ub840.\\ud14c','a@\\u0300b']" },
        { "uuid", "{'format':'uuid'}",
          "['2EB8AA08-AA98-11EA-B4AA-73B441D16380','2eb8aa08-aa98-11ea-b4aa-73b441d16380','"
          "2eb8aa08-AA98-11ea-B4Aa-73B441D16380',"
          "'00000000-0000-0000-0000-000000000000','98d80576-482e-427f-8434-7f86890ab222','99c17cbb-"
          "656f-564a-940f-1a4568f03487',"
          "'99c17cbb-656f-f64a-940f-1a4568f03487']",
          "['2eb8aa08-aa98-11ea-b4aa-73b441d1638','2eb8aa08-aa98-11ea-73b441d16380','2eb8aa08-aa98-"
          "11ea-b4ga-73b441d16380',"
          "'2eb8aa08aa9811eab4aa73b441d16380','2eb8aa08aa98-11ea-b4aa73b441d16380','2eb8-aa08-aa98-"
          "11ea-b4aa73b44-1d16380',"
          "'2eb8aa08aa9811eab4aa73b441d16380----','','{2eb8aa08-aa98-11ea-b4aa-73b441d16380}','urn:"
          "uuid:2eb8aa08-aa98-11ea-b4aa-73b441d16380']" },
    };
    CHECK_CASES(cases);
}

static void test_addresses_of_resources(void **state)
{
    (void)state;
    static const struct schema_case cases[] = {
        { "uri", "{'format':'uri'}",
          "['http://foo.bar/?baz=qux#quux','http://foo.com/blah_(wikipedia)_blah#cite-1','http://"
          "foo.bar/?q=Test%20URL-encoded%20stuff',"
          "'http://xn--nw2a.xn--j6w193g/','http://"
          "-.~_!$&%27()*+,;=:%40:80%2f::::::@example.com','http://223.255.255.254','ftp://"
          "ftp.is.co.za/rfc/rfc1808.txt',"
          "'http://www.ietf.org/rfc/rfc2396.txt','ldap://[2001:db8::7]/"
          "c=GB?objectClass?one','mailto:John.Doe@example.com','news:comp.infosystems.www.servers."
          "unix',"
          "'tel:+1-816-555-1212','urn:oasis:names:specification:docbook:dtd:xml:4.1.2','file:///"
          "etc/passwd','a:','a:b','http://','http://h:','http://[v1.fe:x]/','x+y-z.1:/a',"
          "'http://a/?x=%5B%5D#/?@:']",
          "['//foo.bar/?baz=qux#quux','/abc','\\\\\\\\WINDOWS\\\\fileshare','abc','http:// "
          "shouldfail.com',':// should fail','bar,baz:foo','https://[@example.org/test.txt',"
          "'https://example.org/foobar\\\\.txt','https://example.org/foobar<>.txt','https://"
          "example.org/foobar{}.txt','https://example.org/foobar^.txt',"
          "'https://example.org/foobar`.txt','https://example.org/foo "
          "bar.txt','https://example.org/foobar|.txt','http://example.com:abc','http://"
          "[1::2','http://[1::g]','http://h:8x',"
          "'http://a@b@c/','','http://ex\\u00e4mple.com','http://a/%zz','http://a/%2','1http://"
          "a','http://a#b#c','http://[::1]x','http://[v.x]','http://[vx.]','http://[::1%25eth0]/',"
          "'http://a/\\u0000','http://a/\\n']" },
        { "uri-reference", "{'format':'uri-reference'}",
          "['http://foo.bar/?baz=qux#quux','//foo.bar/?baz=qux#quux','/"
          "abc','abc','#fragment','','?a=b','../x','./a:b','a/b:c','//','.','a%20b']",
          "['\\\\\\\\WINDOWS\\\\fileshare','#frag\\\\ment','/foobar\\u00ae.txt','https://"
          "example.org/foobar\\\\.txt','1a:b','a b','%','http://[','#a#b','//a:b']" },
        { "iri", "{'format':'iri'}",
          "['http://\\u0192\\u00f8\\u00f8.\\u00df\\u00e5r/"
          "?\\u2202\\u00e9\\u0153=\\u03c0\\u00eex#\\u03c0\\u00ee\\u00fcx','http://"
          "\\u0192\\u00f8\\u00f8.com/"
          "blah_(w\\u00eek\\u00efp\\u00e9di\\u00e5)_blah#\\u00dfit\\u00e9-1',"
          "'http://\\u0192\\u00f8\\u00f8.\\u00df\\u00e5r/?q=Test%20URL-encoded%20stuff','http://"
          "-.~_!$&%27()*+,;=:%40:80%2f::::::@example.com','http://"
          "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]','http://a/?\\ue000']",
          "['http://2001:0db8:85a3:0000:0000:8a2e:0370:7334','/"
          "abc','\\\\\\\\WINDOWS\\\\fileshare','\\u00e2\\u03c0\\u03c0','http:// "
          "shouldfail.com',':// should "
          "fail','http://a/\\u0085','http://a/\\ue000','http://a/\\uffff','http://a/\\ufdd0']" },
        { "iri-reference", "{'format':'iri-reference'}",
          "['http://\\u0192\\u00f8\\u00f8.\\u00df\\u00e5r/"
          "?\\u2202\\u00e9\\u0153=\\u03c0\\u00eex#\\u03c0\\u00ee\\u00fcx','//"
          "\\u0192\\u00f8\\u00f8.\\u00df\\u00e5r/"
          "?\\u2202\\u00e9\\u0153=\\u03c0\\u00eex#\\u03c0\\u00ee\\u00fcx','/"
          "\\u00e2\\u03c0\\u03c0','\\u00e2\\u03c0\\u03c0','#\\u0192r\\u00e4gm\\u00eant','']",
          "['\\\\\\\\WINDOWS\\\\fil\\u00eb\\u00dfh\\u00e5re','#\\u0192r\\u00e4g\\\\m\\u00eant','"
          "\\u00e4 b']" },
        { "uri-template", "{'format':'uri-template'}",
          "['http://example.com/dictionary/{term:1}/{term}','http://example.com/"
          "dictionary','dictionary/{term:1}/"
          "{term}','','{+x,hello,y}','{#path:6}here','{.who,who}','{/var:1,var}',"
          "'{;x,y,empty}','{?x,y}','{&x,y,empty}','{list*}','{?keys*}','{a.b_c%20}','{x:9999}','"
          "\\u00e9/{a}','a%20b']",
          "['http://example.com/dictionary/{term:1}/"
          "{term','{','}','{}','{+}','{a,}','{a:0}','{a:10000}','{a:}','{a*b}','{a-b}','{a b}','a "
          "b','%2','{.}','{a..b}','{a{b}}','{!!}','<a>','{a:1*}']" },
        { "json-pointer", "{'format':'json-pointer'}",
          "['/foo/bar~0/baz~1/%a','/foo//bar','/foo/bar/','','/foo','/foo/0','/','/a~1b','/c%d','/"
          "e^f','/g|h','/i\\\\\\\\j','/k\\u0022l','/ "
          "','/m~0n','/foo/-','/foo/-/bar','/~1~0~0~1~1','/~01','/~10','/\\u00e9']",
          "['/foo/bar~','/~0~','/~0/~','#','#/','#a','/~2','/~-1','/~~','a','0','a/a','/~']" },
        { "relative-json-pointer", "{'format':'relative-json-pointer'}",
          "['1','0/foo/bar','2/0/baz/1/zip','0#','120/foo/bar','10','0','1#','0/']",
          "['/foo/bar','-1/foo/bar','+1/foo/bar','0##','01/a','01#','','#','1a','0/~','a']" },
    };
    CHECK_CASES(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_format),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_addresses_of_resources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
