package hypercore

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

func exampleCoreRecords() []*coreRecord {
	return []*coreRecord{
		{key: testKey(1)},
		{key: testKey(1), own: true, manifest: DefaultManifest(testPair(1).Public).Encode()},
		{key: testKey(2), own: true, held: true, unheld: 1},
		{key: testKey(2), own: true, held: true, unheld: 1, encrypted: true},
		{key: testKey(3), manifest: []byte{}},
	}
}

func exampleHeadRecords() []*headRecord {
	tree := treeRecord{length: 300, size: 70000, hash: merkle.Hash{1, 2, 3}}
	return []*headRecord{
		{},
		{fork: 2, tree: tree, contiguous: 299, grown: time.UnixMicro(1763830000123456), signature: []byte("signature")},
		{tree: tree, tail: &treeRecord{length: 301, size: 70001, hash: merkle.Hash{4}}, cut: true},
		{tree: tree, signature: []byte{0}, move: &moveRecord{
			fork: 1, tree: treeRecord{length: 500, size: 1 << 40}, signature: []byte("theirs"),
			nodes: []merkle.Node{{Index: 7, Size: 8, Hash: merkle.Hash{9}}, {Index: merkle.MaxSize, Size: merkle.MaxSize}}, count: 3,
		}},
		{fork: 1, tree: tree, contiguous: 7, move: &moveRecord{
			fork: 2, tree: treeRecord{length: 5, size: 6, hash: merkle.Hash{7}}, signature: []byte("theirs"), nodes: []merkle.Node{},
			keep: &prefix{length: 3, size: 1 << 30},
		}},
	}
}

func TestRecordsComeBack(t *testing.T) {
	for i, want := range exampleCoreRecords() {
		got, err := parseCoreRecord(want.append(nil))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("core record %d: %+v, %v, want %+v", i, got, err, want)
		}
	}
	for i, want := range exampleHeadRecords() {
		got, err := parseHeadRecord(want.append(nil))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("head record %d: %+v, %v, want %+v", i, got, err, want)
		}
	}
}

// What an earlier version can tell is written as that version wrote it.
func TestRecordVersions(t *testing.T) {
	for i, r := range exampleHeadRecords() {
		want := byte(firstVersion)
		if r.move != nil && r.move.keep != nil {
			want = recordVersion
		}
		if got := r.append(nil)[0]; got != want {
			t.Errorf("head record %d has version %d, want %d", i, got, want)
		}
	}
}

func TestRecordsRefuseDamage(t *testing.T) {
	for _, r := range exampleHeadRecords() {
		b := r.append(nil)
		for i := range b {
			for bit := range 8 {
				bad := bytes.Clone(b)
				bad[i] ^= 1 << bit
				if _, err := parseHeadRecord(bad); !errors.Is(err, errRecord) && !errors.Is(err, storage.ErrNewer) {
					t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
				}
			}
			if _, err := parseHeadRecord(b[:i]); !errors.Is(err, errRecord) {
				t.Fatalf("cut to %d bytes: %v", i, err)
			}
		}
	}
}

// A record that parses is written again as the same bytes, if its integers were
// as short as may be. The fuzzer gets the checksum for free.
func FuzzCoreRecord(f *testing.F) {
	for _, r := range exampleCoreRecords() {
		b := r.append(nil)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parseCoreRecord(b)
		r, err := parseCoreRecord(appendSum(bytes.Clone(b), 0))
		if err != nil {
			return
		}
		again, err := parseCoreRecord(r.append(nil))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v, %v, want %+v", again, err, r)
		}
	})
}

func FuzzHeadRecord(f *testing.F) {
	for _, r := range exampleHeadRecords() {
		b := r.append(nil)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parseHeadRecord(b)
		r, err := parseHeadRecord(appendSum(bytes.Clone(b), 0))
		if err != nil {
			return
		}
		again, err := parseHeadRecord(r.append(nil))
		if err != nil || !bytes.Equal(r.append(nil), again.append(nil)) {
			t.Fatalf("%+v, %v, want %+v", again, err, r)
		}
	})
}
