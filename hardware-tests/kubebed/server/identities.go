package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// identities writes a CA, the server's certificate under it and the key that signs account tokens,
// unless the folder has them.
func identities(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "ca.crt")); err == nil {
		return nil
	}
	authority, err := key(dir, "ca.key")
	if err != nil {
		return err
	}
	server, err := key(dir, "server.key")
	if err != nil {
		return err
	}
	if _, err := key(dir, "accounts.key"); err != nil {
		return err
	}
	root := certificate(1, "kubebed CA")
	root.IsCA, root.BasicConstraintsValid = true, true
	root.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	leaf := certificate(2, "kubebed")
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	leaf.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	if err := sign(dir, "server.crt", leaf, root, server, authority); err != nil {
		return err
	}
	// Last, because it says that all are there.
	return sign(dir, "ca.crt", root, root, authority, authority)
}

func certificate(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

func key(dir, name string) (*ecdsa.PrivateKey, error) {
	drawn, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(drawn)
	if err != nil {
		return nil, err
	}
	return drawn, write(dir, name, "EC PRIVATE KEY", der)
}

func sign(dir, name string, what, issuer *x509.Certificate, owner, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, what, issuer, &owner.PublicKey, signer)
	if err != nil {
		return err
	}
	return write(dir, name, "CERTIFICATE", der)
}

func write(dir, name, kind string, der []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return os.WriteFile(filepath.Join(dir, name), text, 0o600)
}
