import pytest

from conceptome.evaluation import readable_term


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GOBP_B_CELL_ACTIVATION", "B cell activation"),
        ("B cell activation (GO:0042113)", "B cell activation"),
        ("HALLMARK_INTERFERON_ALPHA_RESPONSE", "interferon alpha response"),
        ("MHC_CLASS_II_PRESENTATION", "MHC class II presentation"),
        ("GOBP_REGULATION_OF_CD8_POSITIVE_T_CELLS", "regulation of CD8 positive T cells"),
        ("Antigen Processing And Presentation (R-HSA-983169)", "Antigen Processing And Presentation"),
        ("GOBP_SEQUESTERING_OF_CALCIUM_ION", "sequestering of calcium ion"),
        ("HALLMARK_TNFA_SIGNALING_VIA_NFKB", "TNFA signaling via NFKB"),
        ("GOBP_MRNA_SPLICE_SITE_SELECTION", "mRNA splice site selection"),
    ],
)
def test_terms_are_written_as_words(name, expected):
    assert readable_term(name) == expected
