package p2p

import (
	"reflect"
	"testing"
)

// kept is Settings with one value.
type kept []byte

func (k *kept) Setting(string) ([]byte, error)          { return *k, nil }
func (k *kept) SetSetting(_ string, value []byte) error { *k = value; return nil }

// FuzzGoodPeers: whatever the setting is, what is read of it is bounded, can be
// dialled or is left out, and can be kept again.
func FuzzGoodPeers(f *testing.F) {
	const id = "12D3KooWKT4GsCd2TSuXLVFypMCoVGx7JKTpfPD2XgUdRJtR615e"
	f.Add([]byte(`[{"id":"`+id+`","addrs":["/ip4/127.0.0.1/tcp/1"],"seen":"2999-01-02T03:04:05Z"}]`), id)
	f.Add([]byte(`[{"id":"x","addrs":["/","/p2p-circuit",""],"seen":"2999-01-02T03:04:05Z"},{}]`), "x")
	f.Add([]byte(`{}`), "")
	f.Fuzz(func(t *testing.T, text []byte, id string) {
		s := kept(text)
		g := readGood(&s)
		if len(g.all) > goodMax {
			t.Fatalf("%d peers", len(g.all))
		}
		for _, p := range g.all {
			if info, ok := p.info(); ok && (info.ID.Validate() != nil || len(info.Addrs) == 0 || len(info.Addrs) > goodAddrsMax) {
				t.Fatalf("accepted %+v", info)
			}
		}
		g.note(goodPeer{ID: id})
		if len(g.all) == 0 || g.all[0].ID != id && len(text) == 0 {
			t.Fatal("not noted")
		}
		if err := g.save(); err != nil {
			return // a time that JSON has no words for
		}
		saved := string(s)
		if err := readGood(&s).save(); err != nil || len(s) > len(saved) {
			t.Fatalf("%s is kept as %s, %v", saved, s, err)
		}
		if a, b := readGood(&s), readGood(&s); !reflect.DeepEqual(a, b) {
			t.Fatalf("read as %+v and %+v", a, b)
		}
	})
}
