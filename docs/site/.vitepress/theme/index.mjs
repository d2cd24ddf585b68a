// The theme of the package without its fonts: those of the reader's system need no download.
import Theme from 'vitepress/theme-without-fonts';
import './style.css';

export default Theme;
